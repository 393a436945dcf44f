//! Who may come in, and with what: the users of the web configuration and the tokens of ours.

use std::collections::HashMap;
use std::sync::Arc;

use ring::hmac;

use crate::api::Need;
use crate::config::{Access, OpenPath, Role, SecretSource};
use crate::web::tls::ReadFile;

/// What all may do who are not told otherwise.
const ALL_ROLES: [Role; 3] = [Role::Write, Role::Read, Role::Admin];

/// A user with a password.
#[derive(Clone, Debug)]
pub struct User {
    /// The bcrypt hash of the password.
    pub hash: Arc<str>,
    /// What the user may do.
    pub roles: Arc<[Role]>,
}

/// Who comes with a token.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Whose token it is.
    pub name: Arc<str>,
    /// What the holder may do.
    pub roles: Arc<[Role]>,
}

/// Everybody who may come in.
#[derive(Debug)]
pub struct People {
    users: HashMap<String, User>,
    /// The hash that passwords of unknown users are held against: the one that takes longest, so
    /// that time does not tell who is known.
    slowest_hash: Option<Arc<str>>,
    /// By digest: to look a token up takes equally long, whatever it is.
    tokens: HashMap<[u8; 32], Holder>,
    key: hmac::Key,
    open: Vec<OpenPath>,
}

impl People {
    /// Puts users and tokens together; `key` is the process' own, for digests of secrets.
    pub fn new(
        users: &[(String, crate::config::Secret)],
        access: &Access,
        key: &hmac::Key,
        read: &mut ReadFile<'_>,
    ) -> Result<Self, String> {
        let mut known = HashMap::new();
        for (name, hash) in users {
            let listed = access.users.iter().find(|listed| listed.name == *name);
            let roles = listed.map_or(&ALL_ROLES[..], |listed| &listed.roles);
            let user = User {
                hash: Arc::from(hash.reveal()),
                roles: Arc::from(roles),
            };
            known.insert(name.clone(), user);
        }
        if let Some(lost) = access
            .users
            .iter()
            .find(|user| !known.contains_key(&user.name))
        {
            return Err(format!(
                "access.users: {:?} is none of basic_auth_users in the file of --web.config.file \
                 (add the user there, with the hash of a password)",
                lost.name
            ));
        }
        let cost = |hash: &Arc<str>| hash.get(4..6).and_then(|digits| digits.parse::<u32>().ok());
        let hashes = known.values().map(|user| &user.hash);
        let slowest_hash = hashes.max_by_key(|hash| cost(hash)).cloned();
        let mut people = People {
            users: known,
            slowest_hash,
            tokens: HashMap::new(),
            key: key.clone(),
            open: access.open.clone(),
        };
        for token in &access.tokens {
            let text = match &token.token {
                SecretSource::Inline(secret) => secret.reveal().to_owned(),
                SecretSource::File(path) => read(path).map_err(|e| {
                    let (name, path) = (&token.name, path.display());
                    format!("access.tokens: the token of {name:?}: {path} cannot be read: {e}")
                })?,
            };
            let valid = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let mut is_empty = true;
            for line in valid {
                is_empty = false;
                let holder = Holder {
                    name: Arc::from(token.name.as_str()),
                    roles: Arc::from(token.roles.as_slice()),
                };
                let digest = people.digest(&[line]);
                let other = people.tokens.insert(digest, holder);
                if let Some(other) = other.filter(|other| *other.name != *token.name) {
                    return Err(format!(
                        "access.tokens: {:?} and {:?} have the same token",
                        other.name, token.name
                    ));
                }
            }
            if is_empty {
                return Err(format!(
                    "access.tokens: the token of {:?} is empty",
                    token.name
                ));
            }
        }
        Ok(people)
    }

    /// Tells whether anybody is asked who they are.
    pub fn are_asked(&self) -> bool {
        !self.users.is_empty() || !self.tokens.is_empty()
    }

    /// Tells whether something is answered to everybody.
    pub fn is_open(&self, need: Need) -> bool {
        let is_open = |path: &OpenPath| match path {
            OpenPath::Health => need == Need::Health,
            OpenPath::Metrics => need == Need::Metrics,
        };
        !self.are_asked() || self.open.iter().any(is_open)
    }

    /// Returns a user by name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Returns the hash to hold an unknown user's password against; `None` where nobody has one.
    pub fn slowest_hash(&self) -> Option<&Arc<str>> {
        self.slowest_hash.as_ref()
    }

    /// Returns whose token it is.
    pub fn holder(&self, token: &str) -> Option<&Holder> {
        if self.tokens.is_empty() {
            return None;
        }
        self.tokens.get(&self.digest(&[token]))
    }

    /// Returns how an unknown client is asked to say who it is.
    pub fn challenges(&self) -> impl Iterator<Item = &'static str> {
        let basic = (!self.users.is_empty()).then_some("Basic");
        let bearer = (!self.tokens.is_empty()).then_some("Bearer");
        basic.into_iter().chain(bearer)
    }

    /// Digests texts, told apart by their lengths, with the key of the process.
    pub fn digest(&self, texts: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for text in texts {
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text.as_bytes());
        }
        let tag = context.sign();
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        digest
    }
}

/// Tells whether roles are enough for a need.
pub fn may(roles: &[Role], need: Need) -> bool {
    match need {
        // Whoever is known may know that there is nothing here, and whether the server lives.
        Need::Known | Need::Health => true,
        Need::Metrics | Need::Read => roles.contains(&Role::Read),
        Need::Write => roles.contains(&Role::Write),
        Need::Admin => roles.contains(&Role::Admin),
    }
}
