//! The login of the console: a form, a cookie that no script can read, and its end.

use axum::extract::{self, ConnectInfo, Form};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::State;
use super::access::COOKIE;
use super::listener::Visitor;

const PAGE: &str = include_str!("pages/login.html");
const WRONG: &str = "<p class=\"error\" role=\"alert\">User and password do not fit.</p>";

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Credentials {
    user: String,
    password: String,
}

pub(super) async fn form() -> Html<String> {
    Html(PAGE.replace("{error}", ""))
}

pub(super) async fn log_in(
    extract::State(state): extract::State<State>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Response {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return (StatusCode::FORBIDDEN, "The login form of another site is not taken.\n").into_response();
    }
    let Some(broker) = state.broker() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "The broker is starting.\n").into_response();
    };
    let logged_in =
        state.doorkeeper.log_in(broker, visitor.address, &credentials.user, &credentials.password).await;
    let Some(id) = logged_in else {
        return (StatusCode::UNAUTHORIZED, Html(PAGE.replace("{error}", WRONG))).into_response();
    };
    with_cookie(Redirect::to("/").into_response(), &id, visitor.is_tls, "")
}

pub(super) async fn log_out(
    extract::State(state): extract::State<State>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    headers: HeaderMap,
) -> Response {
    state.doorkeeper.log_out(&headers);
    with_cookie(Redirect::to("/login").into_response(), "", visitor.is_tls, "; Max-Age=0")
}

fn with_cookie(mut response: Response, value: &str, secure: bool, more: &str) -> Response {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    // Base64 and words of ours are always a header's value.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
