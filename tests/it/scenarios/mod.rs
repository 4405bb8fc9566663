//! The thirteen things that happen to callers of DQE sooner or later, each a
//! test:
//!
//! | | what happens | file |
//! |---|---|---|
//! | 1 | a token ends between two calls; a classic path answers `{}` | `tokens` |
//! | 2 | the same where `/v1/email/lookup` answers 401 | `tokens` |
//! | 3 | a stale licence, an empty one, none, in lower case, twice, in body and query | `calls` |
//! | 4 | `%2540`, a raw plus, pipes, accents, `%E9`: bytes | `calls` |
//! | 5 | JSONP with `callback` and `_` | `calls` |
//! | 6 | a page that posts `url=` to its relay, as a form and as `.asmx` JSON | `calls` |
//! | 7 | a path without its slash, for which DQE answers 301 | `calls` |
//! | 8 | 30 keystrokes in 2 s from one page, out of order | `calls` |
//! | 9 | a caller that goes after 1 s while DQE takes 3 s | `calls` |
//! | 10 | the token endpoint down, before and after the token's end | `tokens` |
//! | 11 | one scope refused, the others not | `tokens` |
//! | 12 | a 401 of DQE that repeats the token | `tokens` |
//! | 13 | a reset under a call that sends an SMS | `tokens` |

mod calls;
mod tokens;

const PHONE: &str = "/TEL/?Tel=0612345678&Pays=FRA";
const ADDRESS: &str = "/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

fn post(target: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
