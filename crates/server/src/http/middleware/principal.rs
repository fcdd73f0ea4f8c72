//! The caller of a request, in the role that the route requires. Every handler takes one.

use std::time::Instant;

use api::{Code, headers};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use control_plane::catalog::Actor;

use crate::app::App;
use crate::http::answer::problem::Problem;
use crate::listener::PeerAddress;

/// Maximum length of an operator's name, in characters.
const MAX_OPERATOR_CHARS: usize = 100;

/// Caller of a request. The role states who may call: [`Anonymous`] or [`Operator`].
pub(crate) struct Principal<Role>(pub Role);

/// Any caller; nothing is checked.
pub(crate) struct Anonymous;

/// A caller with the right to change the cluster. Every other caller is refused.
pub(crate) struct Operator(pub Actor);

impl<S: Sync> FromRequestParts<S> for Principal<Anonymous> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Anonymous))
    }
}

impl FromRequestParts<App> for Principal<Operator> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<PeerAddress>().and_then(|peer| peer.0);
        let authority = app.auth.authorize(Instant::now(), peer, &parts.headers)?;
        let name = operator_name(&parts.headers)?;
        Ok(Self(Operator(Actor { name, authority, via: app.setup.node_id.clone() })))
    }
}

fn operator_name(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(headers::OPERATOR) else { return Ok(None) };
    let bad = || {
        let detail =
            format!("X-Steg-Operator takes a name of up to {MAX_OPERATOR_CHARS} characters, in UTF-8");
        Problem::new(Code::InvalidOperator, detail)
    };
    let name = std::str::from_utf8(value.as_bytes()).map_err(|_| bad())?;
    if name.chars().count() > MAX_OPERATOR_CHARS || name.chars().any(char::is_control) {
        return Err(bad());
    }
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}
