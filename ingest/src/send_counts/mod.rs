//! How much was sent, told by others than events: SES's statistics or a file of the sender's -> the table of volumes.
//!
//! `sheet` reads files, `statistics` asks SES, `room` compares what came with what is there, `grid` fits the statistics
//! of SES in, whose points may overlap those of an earlier answer. Only what is new or differs is written, so that a
//! cron job leaves few rows.

mod csv_import;
mod existing;
mod intervals;
mod statistics;

use std::path::{Path, PathBuf};

use aws_config::SdkConfig;

use bouncewatch_store::send_counts as stored_counts;
use bouncewatch_store::{Store, StoreError};
use csv_import::Sheet;
use existing::{Room, Taken};

/// How a word begins that names SES's statistics of a region.
const STATISTICS: &str = "ses-statistics:";
/// How a word begins that names a file of volumes, whatever its name.
const FILE: &str = "volumes:";
/// Ending of files of volumes.
const ENDING: &str = ".csv";

/// What is wrong with a source of volumes, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum VolumesError {
    /// The word names no region.
    #[error("not a region: `{0}`; give ses-statistics:REGION, such as ses-statistics:eu-west-1")]
    NotARegion(String),
    /// What was given as an account is none.
    #[error("not an account: give the 12 digits that `aws sts get-caller-identity` tells")]
    NotAnAccount,
    /// An IAM action is missing.
    #[error(
        "access to SES's statistics of {region} is denied: {action}\n  hint: allow {action} for these credentials, on resource *"
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// Where.
        region: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error(
        "AWS does not accept the credentials: {action} in {region}: {why}\n  hint: `aws sts get-caller-identity` tells which are used; renew them (`aws sso login`, a new session, the instance's role)"
    )]
    Credentials {
        /// What was tried.
        action: &'static str,
        /// Where.
        region: String,
        /// What AWS said.
        why: String,
    },
    /// Nobody answers.
    #[error(
        "could not ask SES for the statistics of {region}: {action}: {why}\n  hint: check the network, and that SES is in a region of that name; `aws ses get-send-quota --region {region}` tells"
    )]
    Unreachable {
        /// What was tried.
        action: &'static str,
        /// Where.
        region: String,
        /// What the network said.
        why: String,
    },
    /// Something else.
    #[error("could not ask SES for the statistics of {region}: {action} failed: {why}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// Where.
        region: String,
        /// What SES said.
        why: String,
    },
    /// A file cannot be read.
    #[error("could not read the volumes in `{path}`: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no table of volumes.
    #[error("`{path}` is no table of volumes: {why}\n  hint: {hint}")]
    NotATable {
        /// The file.
        path: String,
        /// Why.
        why: String,
        /// The way out.
        hint: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where volumes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// SES's statistics of a region.
    Statistics {
        /// The region.
        region: String,
    },
    /// A file.
    File(PathBuf),
}

impl Origin {
    /// Reads a word of the command line; `None`, where it names no volumes.
    ///
    /// # Errors
    /// If it begins as statistics do and names no region.
    pub fn parse(word: &str) -> Result<Option<Self>, VolumesError> {
        if let Some(region) = word.strip_prefix(STATISTICS) {
            return if bouncewatch_store::aws::is_region(region) {
                Ok(Some(Self::Statistics { region: region.to_owned() }))
            } else {
                Err(VolumesError::NotARegion(region.to_owned()))
            };
        }
        if let Some(path) = word.strip_prefix(FILE) {
            return Ok(Some(Self::File(PathBuf::from(path))));
        }
        Ok(is_table(Path::new(word)).then(|| Self::File(PathBuf::from(word))))
    }
}

/// Whether the name of a file is one of a table of volumes.
fn is_table(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let tail = name.len().checked_sub(ENDING.len()).and_then(|at| name.get(at..));
    // what lies in a bucket is an archive of events
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ENDING)) && !name.starts_with("s3://")
}

/// What became of the points of a source.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Points that were read.
    pub points: u64,
    /// Those that were not there.
    pub new: u64,
    /// Those that were there with other numbers.
    pub changed: u64,
    /// Those that were there.
    pub unchanged: u64,
    /// Points of SES whose mails other points tell of, which overlap them.
    pub covered: u64,
    /// Lines that were not taken, each with where it stands and the reason.
    pub refused: Vec<String>,
    /// Bytes that were written.
    pub bytes: u64,
}

impl Imported {
    /// Adds what became of another source.
    pub fn add(&mut self, other: Self) {
        let Self { points, new, changed, unchanged, covered, refused, bytes } = other;
        self.points += points;
        self.new += new;
        self.changed += changed;
        self.unchanged += unchanged;
        self.covered += covered;
        self.refused.extend(refused);
        self.bytes += bytes;
    }

    fn count(&mut self, taken: Taken) {
        match taken {
            Taken::New => self.new += 1,
            Taken::Changed => self.changed += 1,
            Taken::Unchanged => self.unchanged += 1,
        }
    }
}

/// Whether a text is the number of an account.
fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Takes SES's statistics of a region into a store. `account` is whose they are, if not the account of the credentials;
/// `aws` are the settings; `now` is milliseconds since 1970.
///
/// # Errors
/// If SES does not tell them, or the store cannot be read or written.
pub async fn import_statistics(
    store: &Store,
    region: &str,
    account: Option<&str>,
    aws: &SdkConfig,
    now: i64,
) -> Result<Imported, VolumesError> {
    check(account)?;
    let origin = format!("{STATISTICS}{region}");
    let answer = statistics::ask(aws, region, account, &origin, now).await?;
    let mut room = Room::new(stored_counts::read_all(store).await?);
    let mut done = Imported { points: answer.len() as u64, ..Imported::default() };
    let fitted = intervals::fit(&room, answer, now);
    done.covered = fitted.covered;
    for point in fitted.points {
        done.count(room.take(point));
    }
    for point in fitted.superseded {
        room.take(point);
    }
    written(store, room, done, now).await
}

/// Takes a file of volumes into a store. `account` is whose they are where a line does not tell; `now` is milliseconds
/// since 1970.
///
/// # Errors
/// If it is no file of volumes, or the store cannot be read or written. Lines that cannot be read are told in the answer.
pub async fn import_file(
    store: &Store,
    path: &Path,
    account: Option<&str>,
    now: i64,
) -> Result<Imported, VolumesError> {
    check(account)?;
    let sheet = Sheet::read(path, account, now)?;
    let mut room = Room::new(stored_counts::read_all(store).await?);
    let mut done = Imported { points: sheet.lines, ..Imported::default() };
    take_sheet(&mut room, sheet, &path.display().to_string(), &mut done);
    written(store, room, done, now).await
}

fn check(account: Option<&str>) -> Result<(), VolumesError> {
    if account.is_none_or(is_account) { Ok(()) } else { Err(VolumesError::NotAnAccount) }
}

/// Makes durable what a source added.
async fn written(
    store: &Store,
    room: Room,
    mut done: Imported,
    now: i64,
) -> Result<Imported, VolumesError> {
    let rows = room.into_changed();
    if !rows.is_empty() {
        done.bytes = stored_counts::publish(store, &rows, now).await? as u64;
    }
    Ok(done)
}

/// Takes the points of a file; what contradicts others is refused.
fn take_sheet(room: &mut Room, sheet: Sheet, shown: &str, done: &mut Imported) {
    let mut refused = sheet.refused;
    for (line, point) in sheet.points {
        match room.conflict(&point) {
            None => done.count(room.take(point)),
            Some(why) => refused.push((line, why)),
        }
    }
    refused.sort_by_key(|(line, _)| *line);
    done.refused =
        refused.into_iter().map(|(line, why)| format!("{shown}:{line}: {why}")).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_volumes() {
        let file = |path: &str| Some(Origin::File(PathBuf::from(path)));
        for (word, origin) in [
            ("volumes.csv", file("volumes.csv")),
            ("a/Sends.CSV", file("a/Sends.CSV")),
            ("volumes:sends.txt", file("sends.txt")),
            ("volumes:s.csv", file("s.csv")),
            (
                "ses-statistics:eu-west-1",
                Some(Origin::Statistics { region: "eu-west-1".to_owned() }),
            ),
            ("s3://archive/volumes.csv", None),
            ("archive/2026", None),
            ("-", None),
            ("csv", None),
            ("ü.c", None),
        ] {
            assert_eq!(Origin::parse(word).unwrap(), origin, "{word}");
        }
        for word in ["ses-statistics:", "ses-statistics:evil.example/#", "ses-statistics:a b"] {
            let told = Origin::parse(word).unwrap_err().to_string();
            assert!(told.contains("not a region"), "{told}");
        }
    }
}
