//! A request whose form is yet to be received.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use tokio::time::Instant;

use crate::app::App;
use crate::derivations::Caller;
use crate::http::middleware::confidential;
use crate::http::middleware::request::RequestId;

/// Request with a form, before the form is received.
pub(crate) struct UploadRequest {
    pub request: Request,
    pub headers: HeaderMap,
    /// The request id given by the middleware.
    pub request_id: Arc<str>,
    /// Deadline for starting the work.
    pub start_by: Instant,
    /// The caller, in whose turn keys are derived.
    pub caller: Caller,
}

impl FromRequest<App> for UploadRequest {
    type Rejection = Infallible;

    async fn from_request(request: Request, app: &App) -> Result<Self, Infallible> {
        let RequestId(request_id) = request.extensions().get().cloned().expect("the middleware adds one");
        let headers = request.headers().clone();
        let address =
            confidential::client_address(request.extensions(), &headers, &app.setup.config.security);
        let caller = Caller::new(address, app.auth.shows_token(address, &headers));
        Ok(Self { request, headers, request_id, start_by: app.data.start_by(), caller })
    }
}
