'use strict';
// shapes of levels, from low volume to critical
const levels = '\u25cb\u25cf?\u25b2\u25a0';
for (const table of document.querySelectorAll('table[data-sort]')) {
  const body = table.tBodies[0];
  const value = (row, at, isLevel) => {
    const cell = row.cells[at];
    const text = cell.dataset.v || cell.textContent;
    return [text, isLevel ? levels.indexOf(text[0]) : parseFloat(text.replace(/,/g, ''))];
  };
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, at) => {
    const title = header.textContent;
    if (title === 'Range and trend') return;
    const isLevel = title === 'Level';
    const isText = !header.classList.contains('n') && !isLevel;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = title;
    header.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = header.getAttribute('aria-sort') === 'descending' || (isText && !header.hasAttribute('aria-sort'));
      const sign = down ? 1 : -1;
      headers.forEach((other) => other.removeAttribute('aria-sort'));
      header.setAttribute('aria-sort', down ? 'ascending' : 'descending');
      const rows = [...body.rows].map((row) => [row, ...value(row, at, isLevel)]);
      rows.sort((a, b) => {
        if (isText) return sign * (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0);
        const known = isNaN(a[2]) - isNaN(b[2]);
        return known || (isNaN(a[2]) ? 0 : sign * (a[2] - b[2]));
      });
      body.append(...rows.map((row) => row[0]));
      document.getElementById('status').textContent =
        table.caption.textContent + ': sorted by ' + title + ', ' + (down ? 'ascending' : 'descending');
    });
  });
}
