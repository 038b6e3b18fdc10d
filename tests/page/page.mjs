// Opens each page of a folder in Chromium and checks what only a browser can check. Then repeats each check on a page
// with a fault, which it must find.
// Usage: node page.mjs FOLDER [--screenshots FOLDER]. Exit code 1 if a check fails.
import { readFileSync, readdirSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, basename } from 'node:path';
import { pathToFileURL } from 'node:url';

// packages are installed below the tools folder, not beside this file
const tools = createRequire(join(process.env.PAGE_TOOLS ?? process.cwd(), 'package.json'));
const { chromium } = tools('playwright-core');
const { HtmlValidate } = tools('html-validate');
const axe = readFileSync(tools.resolve('axe-core/axe.min.js'), 'utf8');

const folder = process.argv[2];
const shots = process.argv[3] === '--screenshots' ? process.argv[4] : null;
const files = readdirSync(folder).filter((name) => name.endsWith('.html')).sort();
if (files.length === 0) throw new Error(`no pages in ${folder}`);
if (shots) mkdirSync(shots, { recursive: true });
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
let failures = [];
let checks = 0;
// times are printed, not checked: they depend on what else the machine does
let slowest = 0;
let slowestSort = 0;
const check = (name, ok, detail = '') => {
  checks += 1;
  if (!ok) failures.push(`${name}: ${detail}`);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

async function open(file, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => { if (message.type() === 'error') problems.push(`console: ${message.text()}`); });
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && request.url() !== pathToFileURL(file).href) problems.push(`request: ${request.url()}`);
  });
  const start = Date.now();
  await page.goto(pathToFileURL(file).href);
  return { context, page, problems, ready: Date.now() - start };
}

async function accessibility(name, page) {
  const client = await page.context().newCDPSession(page);
  // evaluated by the debugger: the policy of the page stays in force
  await client.send('Runtime.evaluate', { expression: axe });
  const { result } = await client.send('Runtime.evaluate', {
    expression: `axe.run(document, {runOnly: ${JSON.stringify(TAGS)}}).then((r) => JSON.stringify({
      violations: r.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')),
      incomplete: r.incomplete.map((v) => v.id)}))`,
    awaitPromise: true,
    returnByValue: true,
  });
  const { violations, incomplete } = JSON.parse(result.value);
  check(`${name}: axe`, violations.length === 0, violations.join('\n  '));
  const unsure = incomplete.filter((id) => id !== 'color-contrast');
  check(`${name}: axe incomplete`, unsure.length === 0, unsure.join(', '));
}

const lines = (text) => text.split('\n').map((line) => line.replace(/\s+/g, ' ').trim()).filter(Boolean).join('\n');

async function look(file, schemes = ['light', 'dark'], widths = [1280, 320]) {
  const name = basename(file, '.html');
  const isLarge = name.includes('top_400');
  for (const colorScheme of isLarge ? ['light'] : schemes) {
    for (const width of widths) {
      const label = `${name} ${colorScheme} ${width}`;
      const { context, page, problems, ready } = await open(file, { colorScheme, viewport: { width, height: 900 } });
      if (!isLarge || width === 1280) await accessibility(label, page);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(`${label}: no sideways scrolling`, overflow <= 0, `${overflow} px`);
      slowest = Math.max(slowest, ready);
      check(`${label}: no console error, request or dialog`, problems.length === 0, problems.join('; '));
      if (shots) await page.screenshot({ path: join(shots, `${label.replaceAll(' ', '_')}.png`), fullPage: !isLarge });
      await context.close();
    }
  }
}

// all text of the document, whether or not a style hides it
const allText = () => {
  const clone = document.body.cloneNode(true);
  clone.querySelectorAll('script,style').forEach((element) => element.remove());
  return clone.textContent;
};

// the text that a reader sees, without spaces: styles move text, but neither add nor hide any
const visibleText = () => {
  document.querySelectorAll('details').forEach((element) => { element.open = true; });
  return document.body.innerText.replace(/\s+/g, '');
};

async function withoutScriptAndStyle(file) {
  const name = basename(file, '.html');
  const texts = [];
  const visible = [];
  for (const options of [{}, { javaScriptEnabled: false }, { javaScriptEnabled: false, style: false }]) {
    const { style = true, ...rest } = options;
    const { context, page } = await open(file, { viewport: { width: 1280, height: 900 }, ...rest });
    if (!style) await page.evaluate(() => document.querySelectorAll('style').forEach((element) => element.remove()));
    texts.push(lines(await page.evaluate(allText)));
    visible.push(await page.evaluate(visibleText));
    if (!style) {
      const colours = await page.evaluate(() => [...document.querySelectorAll('main svg path')]
        .every((path) => path.getAttribute('stroke') || path.getAttribute('fill')));
      check(`${name}: charts keep their colours`, colours);
      if (shots) await page.screenshot({ path: join(shots, `${name}_plain.png`), fullPage: !name.includes('400') });
    }
    await context.close();
  }
  check(`${name}: same text without script`, texts[1] === texts[0]);
  check(`${name}: same text without script and style`, visible[2] === visible[1]);
}

async function sorting(file) {
  const name = basename(file, '.html');
  const { context, page } = await open(file, { viewport: { width: 1280, height: 900 } });
  const tables = await page.locator('table[data-sort]').count();
  for (let at = 0; at < tables; at += 1) {
    const table = page.locator('table[data-sort]').nth(at);
    const columns = await table.locator('thead button').count();
    check(`${name}: table ${at} has buttons`, columns > 2, `${columns}`);
    for (let column = 0; column < columns; column += 1) {
      const button = table.locator('thead button').nth(column);
      for (const key of ['Enter', 'Space']) {
        await button.focus();
        const start = Date.now();
        await page.keyboard.press(key);
        const took = Date.now() - start;
        const state = await table.evaluate((element) => {
          const sorted = [...element.tHead.rows[0].cells].filter((cell) => cell.hasAttribute('aria-sort'));
          const at = sorted.length === 1 ? sorted[0].cellIndex : -1;
          const isLevel = sorted[0]?.textContent === 'Level';
          const values = [...element.tBodies[0].rows].map((row) => {
            const cell = row.cells[at];
            const text = cell ? (cell.dataset.v ?? cell.textContent) : '';
            return isLevel ? String('\u25cb\u25cf?\u25b2\u25a0'.indexOf(text[0])) : text;
          });
          return { sorted: sorted.length, order: sorted[0]?.getAttribute('aria-sort'), values,
            isNumber: isLevel || sorted[0]?.classList.contains('n') };
        });
        const label = `${name}: table ${at} column ${column} ${state.order}`;
        check(`${label}: one header`, state.sorted === 1);
        slowestSort = Math.max(slowestSort, took);
        const values = state.isNumber ? state.values.map((value) => parseFloat(value.replaceAll(',', ''))) : state.values;
        const sign = state.order === 'ascending' ? 1 : -1;
        const isOrdered = values.every((value, i) => {
          if (i === 0) return true;
          const before = values[i - 1];
          // unknown values are always last
          if (state.isNumber && Number.isNaN(before)) return Number.isNaN(value);
          if (state.isNumber && Number.isNaN(value)) return true;
          return sign * (before < value ? -1 : before > value ? 1 : 0) <= 0;
        });
        check(`${label}: ordered`, isOrdered, values.slice(0, 8).join(' '));
      }
    }
    const status = await page.locator('#status').textContent();
    check(`${name}: table ${at} announces its order`, status.includes('sorted by'), status);
  }
  await context.close();
}

async function hostile(file) {
  const { context, page, problems } = await open(file, { viewport: { width: 1280, height: 900 } });
  const found = await page.evaluate(() => ({
    scripts: document.scripts.length,
    images: document.images.length,
    handlers: [...document.querySelectorAll('*')].filter((element) => [...element.attributes]
      .some((attribute) => attribute.name.startsWith('on') || attribute.name === 'style')).length,
    links: [...document.links].filter((link) => !link.getAttribute('href').startsWith('#')).length,
  }));
  check('hostile: no foreign element', found.images === 0 && found.handlers === 0 && found.links === 0 && found.scripts <= 2,
    JSON.stringify(found));
  check('hostile: nothing ran', problems.length === 0, problems.join('; '));
  // the policy refuses scripts even if the escaping failed
  const blocked = await page.evaluate(() => {
    const image = document.createElement('img');
    image.setAttribute('onerror', 'window.ran = true');
    image.src = 'data:,x';
    document.body.append(image);
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.body.append(script);
    return new Promise((done) => setTimeout(() => done(window.ran !== true), 300));
  });
  check('hostile: the policy blocks scripts', blocked);
  await context.close();
}

async function printed(file) {
  const { context, page } = await open(file, { viewport: { width: 1280, height: 900 } });
  const pdf = await page.pdf({ format: 'A4' });
  const pages = pdf.toString('latin1').match(/\/Type \/Page\b/g)?.length ?? 0;
  check(`${basename(file)}: at most 20 printed pages`, pages > 0 && pages <= 20, `${pages}`);
  await context.close();
}

const validate = new HtmlValidate({ extends: ['html-validate:recommended'], rules: {
  // the page is compact
  'no-trailing-whitespace': 'off', 'doctype-style': 'off', 'void-style': 'off', 'attribute-boolean-style': 'off',
  'long-title': 'off', 'no-raw-characters': 'off', 'require-sri': 'off', 'no-inline-style': 'error',
  'prefer-native-element': 'off', 'no-implicit-close': 'off',
} });

async function valid(file) {
  const report = await validate.validateFile(file);
  const messages = report.results.flatMap((result) => result.messages).map((m) => `${m.ruleId} ${m.line}: ${m.message}`);
  check(`${basename(file)}: html-validate`, report.valid, messages.slice(0, 5).join('\n  '));
}

// A fault: the page, the change of its text, the checks to run, and the end of the name of the check that finds it.
const unlocked = (html) => html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, '');
const styled = (from, to) => (html) => unlocked(html).replace(from, to);
const added = (text) => (html) => html.replace('</main>', `${text}</main>`);
const lookOnce = (file) => look(file, ['light'], [1280]);
const FAULTS = [
  ['critical', styled('--mute:#57606a', '--mute:#c7ced6'), lookOnce, ': axe'],
  ['critical', added('<video src="data:video/mp4,"></video>'), lookOnce, ': axe incomplete'],
  ['critical', styled('<style>', '<style>main{min-width:3000px}'), lookOnce, ': no sideways scrolling'],
  ['critical', added('<img alt="" src="http://127.0.0.1:9/x.png">'), lookOnce, ': no console error, request or dialog'],
  ['critical', (html) => html.replaceAll(/(<path[^>]*?) (?:stroke|fill)="[^"]*"/g, '$1').replaceAll(/(<path[^>]*?) (?:stroke|fill)="[^"]*"/g, '$1'),
    withoutScriptAndStyle, ': charts keep their colours'],
  ['critical', styled("'use strict';", "'use strict';document.body.append('x');"), withoutScriptAndStyle, ': same text without script'],
  ['critical', styled('<style>', '<style>h2{display:none}'), withoutScriptAndStyle, ': same text without script and style'],
  ['critical', styled("header.setAttribute('aria-sort'", "header.setAttribute('data-x'"), sorting, ': one header'],
  ['critical', styled('sign * (a[2] - b[2])', 'a[2] - b[2]'), sorting, ': ordered'],
  ['critical', styled("': sorted by '", "': '"), sorting, ' announces its order'],
  ['critical', styled("if (title === 'Range and trend') return;", 'if (at > 1) return;'), sorting, ' has buttons'],
  ['hostile', added('<img alt="" src="data:,x">'), hostile, ': no foreign element'],
  ['hostile', styled('</main>', '</main><script>alert(1)</script>'), hostile, ': nothing ran'],
  ['hostile', unlocked, hostile, ': the policy blocks scripts'],
  ['many_groups_top_400', (html) => styled('table{font-size:.6rem}', '')(html).replace('tbody tr:nth-child(n+26),', ''), printed, ': at most 20 printed pages'],
  ['critical', (html) => html.replace(' scope="col"', ''), valid, ': html-validate'],
];

async function faults() {
  const temporary = mkdtempSync(join(tmpdir(), 'page-faults-'));
  for (const [name, change, run, expected] of FAULTS) {
    const html = readFileSync(join(folder, `${name}.html`), 'utf8');
    const changed = change(html);
    const file = join(temporary, `${name}.html`);
    writeFileSync(file, changed);
    const kept = [failures, checks];
    [failures, checks] = [[], 0];
    await run(file);
    const found = failures.some((failure) => failure.includes(`${expected}: `));
    [failures, checks] = kept;
    check(`fault is found by "${expected}"`, changed !== html && found);
  }
  rmSync(temporary, { recursive: true });
}

for (const file of files.map((name) => join(folder, name))) {
  await look(file);
  await withoutScriptAndStyle(file);
  await valid(file);
}
await sorting(join(folder, 'critical.html'));
await sorting(join(folder, 'many_groups.html'));
await hostile(join(folder, 'hostile.html'));
await printed(join(folder, 'many_groups.html'));
await faults();
await browser.close();

for (const failure of failures) console.error(`FAILED ${failure}`);
console.log(`slowest page ready in ${slowest} ms, slowest sort ${slowestSort} ms`);
console.log(`${checks - failures.length} passed, ${failures.length} failed`);
process.exit(failures.length > 0 ? 1 : 0);
