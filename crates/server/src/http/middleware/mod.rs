//! Layers around every route: id, span, refusals and problems of a request, cross-origin access, the caller.

pub(super) mod confidential;
pub(super) mod cors;
pub(super) mod principal;
pub(super) mod request;
