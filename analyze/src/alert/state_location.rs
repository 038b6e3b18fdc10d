//! [`StateLocation`]: location of the alert state.

use std::fmt;
use std::path::{Path, PathBuf};

use bouncewatch_store::StoreUrl;

/// Location of the alert state: a file, or an object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateLocation {
    /// A file.
    File(PathBuf),
    /// An object in S3.
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// Endpoint URL of S3; `None` for the endpoint of the AWS settings.
        endpoint_url: Option<String>,
    },
}

impl StateLocation {
    /// Parses a path or `s3://BUCKET/KEY`; `None` for a bucket without a key.
    pub fn parse(path: &Path, endpoint_url: Option<&str>) -> Option<Self> {
        let url = path.to_str().map(StoreUrl::parse);
        let Some(StoreUrl::Bucket { bucket, prefix: key }) = url else {
            return Some(Self::File(path.to_path_buf()));
        };
        let endpoint_url = endpoint_url.map(str::to_owned);
        (!key.is_empty()).then_some(Self::Object { bucket, key, endpoint_url })
    }

    /// Returns the location `alerts.json` in a store.
    pub fn in_store(store: &str, endpoint_url: Option<&str>) -> Self {
        match StoreUrl::parse(store) {
            StoreUrl::Folder(folder) => Self::File(folder.join("alerts.json")),
            StoreUrl::Bucket { bucket, prefix } => {
                let key = format!("{prefix}/alerts.json").trim_start_matches('/').to_owned();
                Self::Object { bucket, key, endpoint_url: endpoint_url.map(str::to_owned) }
            }
        }
    }

    /// Returns the location as a path, for errors.
    pub(crate) fn to_path(&self) -> PathBuf {
        PathBuf::from(self.to_string())
    }
}

impl fmt::Display for StateLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Object { bucket, key, .. } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_a_file_or_an_object() {
        let name =
            |path: &str| StateLocation::parse(Path::new(path), None).map(|at| at.to_string());
        for (path, expected) in [
            ("/var/lib/a.json", Some("/var/lib/a.json")),
            ("s3://b/x/y.json", Some("s3://b/x/y.json")),
            ("s3://b/", None),
            ("s3://b", None),
        ] {
            assert_eq!(name(path).as_deref(), expected, "{path}");
        }
        for (store, expected) in [
            ("/var/lib", "/var/lib/alerts.json"),
            ("s3://b", "s3://b/alerts.json"),
            ("s3://b/p/q/", "s3://b/p/q/alerts.json"),
        ] {
            assert_eq!(StateLocation::in_store(store, None).to_string(), expected, "{store}");
        }
    }
}
