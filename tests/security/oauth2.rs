//! `oauth2`: tokens are fetched, kept, and fetched anew when they are not taken any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::outgoing::{Sink, client, ok, post};

const UNAUTHORIZED: &str =
    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn fields(port: u16, more: &str) -> String {
    format!(
        "    oauth2:\n      client_id: id\n      client_secret_file: secret\n      token_url: \
         http://localhost:{port}/token\n      scopes: [a, b]\n      endpoint_params: {{audience: \
         x}}\n{more}"
    )
}

/// A server of tokens that numbers them.
async fn tokens(expires_in: &'static str, wants_form: bool) -> Sink {
    let n_given = AtomicUsize::new(0);
    Sink::plain(Arc::new(move |request| {
        let in_form = request.contains("client_secret=s3cr3t");
        // `id:s3cr3t`.
        let in_header = request.contains("Basic aWQ6czNjcjN0");
        if (wants_form && !in_form) || (!wants_form && !in_header) {
            return UNAUTHORIZED.to_owned();
        }
        let n = n_given.fetch_add(1, Ordering::SeqCst) + 1;
        let token = format!("{{\"access_token\":\"t{n}\",\"token_type\":\"bearer\"{expires_in}}}");
        ok(&token)
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_once_and_sent_with_everything() {
    for wants_form in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("secret"), "s3cr3t\n").expect("a file");
        let tokens = tokens(",\"expires_in\":3600", wants_form).await;
        let sink = Sink::plain(Arc::new(|_| ok(""))).await;
        let url = format!("http://localhost:{}/hook", sink.port);
        let client = client(directory.path(), &fields(tokens.port, ""));
        for _ in 0..3 {
            assert_eq!(post(&client, &url).await, Ok(200));
        }
        let is_sent =
            |request: &String| request.to_lowercase().contains("authorization: bearer t1");
        assert!(sink.seen().iter().all(is_sent), "{:?}", sink.seen());
        // Where the secret is wanted in the form, the header was tried first.
        assert_eq!(tokens.seen().len(), 1 + usize::from(wants_form));
        let asked = tokens.seen().pop().expect("a request");
        for pair in ["grant_type=client_credentials", "scope=a+b", "audience=x"] {
            assert!(asked.contains(pair), "{asked}");
        }
        // A new secret is a new token.
        std::fs::write(directory.path().join("secret"), "wrong").expect("a file");
        let refused = post(&client, &url).await.expect_err("a wrong secret");
        assert!(
            refused.contains("oauth2: cannot fetch token: response status 401"),
            "{refused}"
        );
        assert_eq!(sink.seen().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_or_is_not_taken_is_fetched_anew() {
    // Shorter than a token is kept before its end: each request has its own.
    for (expires_in, first_is_taken) in [(",\"expires_in\":\"5\"", true), ("", false)] {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("secret"), "s3cr3t").expect("a file");
        let tokens = tokens(expires_in, false).await;
        let sink = Sink::plain(Arc::new(move |request| {
            let is_first = request.to_lowercase().contains("bearer t1");
            match is_first && !first_is_taken {
                true => UNAUTHORIZED.to_owned(),
                false => ok(""),
            }
        }))
        .await;
        let url = format!("http://localhost:{}/hook", sink.port);
        let client = client(directory.path(), &fields(tokens.port, ""));
        let expected = if first_is_taken { 200 } else { 401 };
        assert_eq!(post(&client, &url).await, Ok(expected));
        assert_eq!(post(&client, &url).await, Ok(200));
        let last = sink.seen().pop().expect("a request").to_lowercase();
        assert!(last.contains("authorization: bearer t2"), "{last}");
    }
}
