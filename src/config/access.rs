//! `access`: who may do what, beyond the users of the web configuration, who may do everything.

use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::config::fields::Fields;
use crate::config::{ConfigError, SecretSource};
use crate::yaml::Node;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Send samples.
    Write,
    /// Ask: queries, pages, `/metrics`.
    Read,
    /// Reload, stop, and what else changes the server.
    Admin,
}

/// What needs nobody's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenPath {
    /// `/-/healthy` and `/-/ready`.
    Health,
    /// `/metrics`.
    Metrics,
}

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Roles of users of the web configuration; a user who is not here has all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserRoles>,
    /// Bearer tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<AccessToken>,
    /// What is answered to everybody although users or tokens are set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenPath>,
}

impl Access {
    /// Tells whether nothing is written.
    pub fn is_empty(&self) -> bool {
        *self == Access::default()
    }
}

/// The roles of a user of the web configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserRoles {
    /// The name in `basic_auth_users`.
    pub name: String,
    /// At least one.
    pub roles: Vec<Role>,
}

/// Who comes with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Whose token it is, for logs and lists of senders.
    pub name: String,
    /// At least one.
    pub roles: Vec<Role>,
    /// The token; in a file, each line is one that is valid.
    pub token: SecretSource,
}

impl Serialize for AccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("roles", &self.roles)?;
        match &self.token {
            SecretSource::Inline(secret) => map.serialize_entry("token", secret)?,
            SecretSource::File(path) => map.serialize_entry("token_file", path)?,
        }
        map.end()
    }
}

const ROLES: [(&str, Role); 3] = [
    ("write", Role::Write),
    ("read", Role::Read),
    ("admin", Role::Admin),
];
const OPEN: [(&str, OpenPath); 2] = [("health", OpenPath::Health), ("metrics", OpenPath::Metrics)];

pub(crate) fn read(node: &Node, what: &str, base_dir: &Path) -> Result<Access, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let mut names: Vec<String> = Vec::new();
    let mut named = |fields: &mut Fields<'_>| -> Result<(String, Vec<Role>), ConfigError> {
        let Some(name) = fields.nonempty("name")? else {
            return Err(fields
                .error("name is missing")
                .remedy("say whose roles these are"));
        };
        if names.contains(&name) {
            return Err(fields.error(format!("{name:?} stands here twice")));
        }
        names.push(name.clone());
        let roles = fields.list("roles", |node, what| {
            crate::config::value::word(node, what, &ROLES)
        })?;
        if roles.is_empty() {
            return Err(fields
                .error("roles are missing")
                .remedy("write roles: [write], or more of write, read, admin"));
        }
        Ok((name, roles))
    };
    let users = fields.list("users", |node, what| {
        let mut fields = Fields::open(node, what)?;
        let (name, roles) = named(&mut fields)?;
        fields.finish()?;
        Ok(UserRoles { name, roles })
    })?;
    let tokens = fields.list("tokens", |node, what| {
        let mut fields = Fields::open(node, what)?;
        let (name, roles) = named(&mut fields)?;
        let inline = fields.secret("token")?.map(SecretSource::Inline);
        let file = fields.path("token_file", base_dir)?.map(SecretSource::File);
        let token = match (inline, file) {
            (Some(token), None) | (None, Some(token)) => token,
            _ => {
                return Err(fields
                    .error("exactly one of token and token_file must be written")
                    .remedy("a file can be changed while burnwatch runs"));
            }
        };
        fields.finish()?;
        Ok(AccessToken { name, roles, token })
    })?;
    let open = fields.list("open", |node, what| {
        crate::config::value::word(node, what, &OPEN)
    })?;
    fields.finish()?;
    Ok(Access {
        users,
        tokens,
        open,
    })
}
