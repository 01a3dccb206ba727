//! Resolves users and groups by the files of the image: a static binary has no NSS.
//!
//! As su-exec and Docker do it: a user alone brings its group and all groups it is a member of; a user with a group has that
//! group and no other. A number that no file knows is taken as it is, and is then its own group, never root's.

use std::{error, fmt, io::Read};

use cap_std::fs::Dir;

use super::spawn::Credentials;

/// A passwd or group file longer than this is not one.
const LONGEST: u64 = 4 << 20;

/// Why a name could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserError {
    /// No such user in etc/passwd.
    UnknownUser(String),
    /// No such group in etc/group.
    UnknownGroup(String),
    /// A number that no user or group may have: 4294967295 means "unchanged" to the kernel.
    Reserved(String),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser(name) => {
                write!(
                    f,
                    "user {name} is not in the image's /etc/passwd: add it there, or give its number"
                )
            }
            Self::UnknownGroup(name) => {
                write!(
                    f,
                    "group {name} is not in the image's /etc/group: add it there, or give its number"
                )
            }
            Self::Reserved(number) => {
                write!(f, "id {number} is reserved by the kernel: 0 to 4294967294 are allowed")
            }
        }
    }
}

impl error::Error for UserError {}

/// Resolves a user and perhaps a group, names or numbers, below a directory handle of `/`.
///
/// The groups that come out have the primary one among them.
pub(crate) fn resolve(
    root: &Dir,
    user: &str,
    group: Option<&str>,
) -> Result<Credentials, UserError> {
    let number = number(user)?;
    let known = passwd(root).into_iter().find(|entry| match number {
        Some(number) => entry.uid == number,
        None => entry.name == user,
    });
    let (uid, primary) = match (&known, number) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(number)) => (number, number),
        (None, None) => return Err(UserError::UnknownUser(user.into())),
    };
    if let Some(group) = group {
        let gid = self::group(root, group)?;
        return Ok(Credentials { uid, gid, groups: vec![gid] });
    }
    let name = known.map(|entry| entry.name);
    let mut groups = vec![primary];
    let member = |entry: &Group| name.as_ref().is_some_and(|name| entry.members.contains(name));
    groups.extend(etc_group(root).into_iter().filter(member).map(|entry| entry.gid));
    groups.sort_unstable();
    groups.dedup();
    Ok(Credentials { uid, gid: primary, groups })
}

/// Resolves one user, name or number, to its id.
pub(crate) fn user(root: &Dir, user: &str) -> Result<u32, UserError> {
    if let Some(uid) = number(user)? {
        return Ok(uid);
    }
    let found = passwd(root).into_iter().find(|entry| entry.name == user);
    found.map(|entry| entry.uid).ok_or_else(|| UserError::UnknownUser(user.into()))
}

/// Resolves one group, name or number, to its id.
pub(crate) fn group(root: &Dir, group: &str) -> Result<u32, UserError> {
    if let Some(gid) = number(group)? {
        return Ok(gid);
    }
    let found = etc_group(root).into_iter().find(|entry| entry.name == group);
    found.map(|entry| entry.gid).ok_or_else(|| UserError::UnknownGroup(group.into()))
}

/// The id, where the text is all digits.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) if number != u32::MAX => Ok(Some(number)),
        _ => Err(UserError::Reserved(text.into())),
    }
}

/// A line of passwd(5).
struct Passwd {
    name: String,
    uid: u32,
    gid: u32,
}

fn passwd(root: &Dir) -> Vec<Passwd> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let uid = fields.nth(1)?.trim().parse().ok()?;
        let gid = fields.next()?.trim().parse().ok()?;
        Some(Passwd { name, uid, gid })
    };
    text(root, "etc/passwd").lines().filter_map(entry).collect()
}

/// A line of group(5).
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

fn etc_group(root: &Dir) -> Vec<Group> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let gid = fields.nth(1)?.trim().parse().ok()?;
        let members = fields.next().unwrap_or("").split(',').map(|name| name.trim().to_owned());
        Some(Group { name, gid, members: members.collect() })
    };
    text(root, "etc/group").lines().filter_map(entry).collect()
}

/// A file's text; an image from scratch has none, which is the same as an empty one.
fn text(root: &Dir, path: &str) -> String {
    let mut bytes = Vec::new();
    let _ = root.open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up root directory, removed afterwards.
    struct Image(std::path::PathBuf, Dir);

    impl Image {
        fn new(name: &str, passwd: &str, group: &str) -> Self {
            let path = std::env::temp_dir().join(format!("users-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("etc")).unwrap();
            std::fs::write(path.join("etc/passwd"), passwd).unwrap();
            std::fs::write(path.join("etc/group"), group).unwrap();
            let dir = Dir::open_ambient_dir(&path, cap_std::ambient_authority()).unwrap();
            Self(path, dir)
        }

        fn usual(name: &str) -> Self {
            let passwd = "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken\napp:x:1000:1001:App:/:\nnobody:x:65534:65534::/:\n";
            let group =
                "root:x:0:\napp:x:1001:\nvideo:x:44:other,app\nlog:x:55:app\nnone:x:66:apple\n";
            Self::new(name, passwd, group)
        }
    }

    impl Drop for Image {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn credentials(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
        Credentials { uid, gid, groups: groups.to_vec() }
    }

    #[test]
    fn a_name_brings_its_group_and_its_memberships() {
        let image = Image::usual("name");
        let expected = credentials(1000, 1001, &[44, 55, 1001]);
        assert_eq!(resolve(&image.1, "app", None), Ok(expected.clone()));
        assert_eq!(resolve(&image.1, "1000", None), Ok(expected));
    }

    #[test]
    fn an_explicit_group_is_the_only_one() {
        let image = Image::usual("group");
        assert_eq!(resolve(&image.1, "app", Some("video")), Ok(credentials(1000, 44, &[44])));
        assert_eq!(resolve(&image.1, "app", Some("7")), Ok(credentials(1000, 7, &[7])));
        assert_eq!(resolve(&image.1, "5", Some("5")), Ok(credentials(5, 5, &[5])));
    }

    #[test]
    fn a_number_that_no_file_knows_is_its_own_group_and_never_roots() {
        let image = Image::usual("number");
        assert_eq!(resolve(&image.1, "4242", None), Ok(credentials(4242, 4242, &[4242])));
    }

    #[test]
    fn an_image_without_the_files_knows_numbers_only() {
        let image = Image::usual("scratch");
        std::fs::remove_dir_all(image.0.join("etc")).unwrap();
        assert_eq!(
            resolve(&image.1, "65534", Some("65534")),
            Ok(credentials(65534, 65534, &[65534]))
        );
        assert_eq!(resolve(&image.1, "app", None), Err(UserError::UnknownUser("app".into())));
        assert_eq!(user(&image.1, "12"), Ok(12));
    }

    #[test]
    fn unknown_names_and_reserved_numbers_say_what_would_do() {
        let image = Image::usual("unknown");
        let text = |result: Result<Credentials, UserError>| result.unwrap_err().to_string();
        assert_eq!(
            text(resolve(&image.1, "ap", None)),
            "user ap is not in the image's /etc/passwd: add it there, or give its number"
        );
        assert!(text(resolve(&image.1, "app", Some("vide"))).starts_with("group vide is not in"));
        for number in ["4294967295", "4294967296", "99999999999999999999"] {
            let error = UserError::Reserved(number.into());
            assert_eq!(resolve(&image.1, number, None), Err(error.clone()));
            assert_eq!(group(&image.1, number), Err(error));
        }
        for odd in ["", "-1", "+1", " 1", "0x10"] {
            assert_eq!(resolve(&image.1, odd, None), Err(UserError::UnknownUser(odd.into())));
        }
    }

    #[test]
    fn one_name_is_resolved_alone() {
        let image = Image::usual("alone");
        assert_eq!(user(&image.1, "nobody"), Ok(65534));
        assert_eq!(group(&image.1, "log"), Ok(55));
        assert_eq!(group(&image.1, "lo"), Err(UserError::UnknownGroup("lo".into())));
    }
}
