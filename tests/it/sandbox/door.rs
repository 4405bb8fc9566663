//! Who is let in, who is not, and how each family says no.

use std::time::{Duration, Instant};

use dqe_proxy::sandbox::{Scope, Standing, Violation};

use super::{PATIENCE, bearer, get, member, started, token};

#[tokio::test]
async fn each_family_refuses_a_credential_in_its_own_way() {
    let sandbox = started().await;
    let licence_ko = r#"{"1":{"IdError":"** LICENCE KO **","eMail":""}}"#;
    let missing = r#"{"status":400,"message":"Missing parameters","details":"Licence","error":"bad request"}"#;
    let empty =
        r#"{"status":400,"message":"Licence must be filled","details":"","error":"bad request"}"#;
    let wrong = r#"{"status":401,"message":"licence not allowed for this function","details":"TKx","error":"unauthorized_client"}"#;
    let zero = r#"{"1":{"Latitude":"0.00","Longitude":"0.00"}}"#;
    let phone = r#"{"1":{"TelOrigine":"","Tel":"","Geolocation":"","Ported":"","Operator":"","OldOperator":"","IdError":"Licence Down","Type":""}}"#;
    let mobile_licence = r#"{"status":"error","error_type":"invalid licence key","error_id":"02"}"#;
    let mobile_token =
        r#"{"status":"error","error_type":"invalid or expired token","error_id":"30"}"#;
    for (target, status, body) in [
        ("/SINGLEV2/?Adresse=5&Pays=FRA&Licence=TKx", 401, "{}"),
        ("/SINGLEV2/?Adresse=5&Pays=FRA", 401, "{}"),
        ("/SINGLE/?Adresse=5&Pays=FRA&Licence=TKx", 401, "{}"),
        ("/COMPLV2/?Licence=TKx", 401, "{}"),
        ("/CP/?Licence=TKx", 401, "{}"),
        ("/RNVP/?Licence=TKx", 401, "{}"),
        ("/ADR/?Licence=TKx", 401, ""),
        ("/ADR/?Licence=", 401, ""),
        ("/DQEEMAILLOOKUP/?Email=a", 401, licence_ko),
        ("/DQEEMAILLOOKUP/?Email=a&Licence=", 401, licence_ko),
        (
            "/DQEEMAILLOOKUP/?Email=a&Licence=TKx",
            401,
            "unauthorized_client",
        ),
        ("/MAILSUGGEST/?Nom=", 400, "Bad Request"),
        ("/MAILSUGGEST/?Nom=&Licence=", 400, "Bad Request"),
        ("/MAILSUGGEST/?Licence=TKx", 401, ""),
        ("/FIRSTNAMESUGGEST/?Firstname=a&Licence=TKx", 401, "{}"),
        ("/LASTNAMESUGGEST/?Lastname=a", 401, "{}"),
        ("/TEL/?Tel=1", 401, phone),
        ("/TEL/?Tel=1&Licence=TKx", 401, phone),
        ("/RECSIRET/?Licence=TKx", 401, "{}"),
        // Of geocoding the status is documented.
        ("/LATLG/?Licence=TKx", 200, zero),
        ("/LATLG/", 200, zero),
        ("/SINGLE/?Lat=48.8&Lon=2.3&Licence=TKx", 200, zero),
        ("/IDMOBILE/?number=336", 401, mobile_licence),
        ("/IDMOBILE/?licence=OTHER&token=TKx", 401, mobile_licence),
        ("/IDMOBILE/?licence=SANDBOX&token=TKx", 401, mobile_token),
        ("/IDMOBILE/?licence=SANDBOX", 401, mobile_token),
        ("/v1/single/?Address=5", 400, missing),
        ("/v1/single/?Address=5&Licence=", 400, empty),
        ("/v1/single/?Address=5&Licence=TKx", 401, wrong),
        ("/v1/phonelookup/?Licence=TKx", 401, wrong),
        ("/v1/lookupemail/", 400, missing),
        ("/v1/lookupcname/?CompanyName=a&Licence=TKx", 401, wrong),
    ] {
        let reply = get(&sandbox, target, "").await;
        assert_eq!((reply.status(), reply.body()), (status, body), "{target}");
        assert_eq!(
            reply.has_header("www-authenticate: Bearer"),
            status == 401,
            "{target}"
        );
    }
    for target in [
        "/v1/email/lookup?email=a",
        "/v1/phone/lookup",
        "/v1/lookupcname/?CompanyName=a",
    ] {
        assert_eq!(get(&sandbox, target, "").await.status(), 401, "{target}");
    }
    sandbox.set_switch("classic-refusal", "200").unwrap();
    let silent = get(&sandbox, "/SINGLEV2/?Adresse=5&Pays=FRA&Licence=TKx", "").await;
    assert_eq!((silent.status(), silent.body()), (200, "{}"));
    sandbox.set_switch("echo-credential", "off").unwrap();
    let muted = get(&sandbox, "/v1/single/?Address=5&Licence=TKx", "").await;
    assert!(muted.body().contains(r#""details":"""#), "{}", muted.text);
}

#[tokio::test]
async fn id_mobile_has_tokens_of_its_own() {
    let sandbox = started().await;
    let general = token(&sandbox, "client_general").await;
    let target = |token: &str| {
        format!("/IDMOBILE/?licence=SANDBOX&number=336&name=X&scope=simswap&token={token}")
    };
    let refused = get(&sandbox, &target(&general), "").await;
    assert!(
        refused.body().contains(r#""error_id":"30""#),
        "{}",
        refused.text
    );
    let path =
        "/ACCESS_TOKEN/?licence=SANDBOX&client_secret=sandbox-secret&grant_type=client_idmobile";
    let own = member(get(&sandbox, path, "").await.body(), "access_token");
    let reply = get(&sandbox, &target(&own), "").await;
    assert_eq!(
        reply.body(),
        r#"{"status":"success","operator":"Orange","swapped":"false"}"#
    );
    assert_eq!(
        sandbox.counters().violation(Violation::LicenceCodeInClear),
        0
    );
}

#[tokio::test]
async fn tokens_end_by_expiry_and_by_revocation() {
    let sandbox = started().await;
    sandbox.set_token_life(Duration::ZERO);
    let expired = bearer(&sandbox, "client_phone").await;
    assert_eq!(get(&sandbox, "/TEL/?Tel=1", &expired).await.status(), 401);
    assert_eq!(sandbox.counters().violation(Violation::ExpiredToken), 1);
    sandbox.set_token_life(Duration::from_secs(60));
    let revoked = bearer(&sandbox, "client_phone").await;
    assert_eq!(get(&sandbox, "/TEL/?Tel=1", &revoked).await.status(), 200);
    assert_eq!(sandbox.counters().least_life_left(Scope::Phone), Some(0));
    assert_eq!(sandbox.counters().least_life_left(Scope::Email), None);
    let begun = Instant::now();
    assert_eq!(sandbox.revoke(Scope::Phone), 1);
    assert_eq!(get(&sandbox, "/TEL/?Tel=1", &revoked).await.status(), 401);
    let counters = sandbox.counters();
    assert_eq!(counters.carried(Standing::Revoked), 1);
    assert_eq!(
        counters.violation(Violation::RevokedToken),
        0,
        "nobody told"
    );
    let told = async || {
        get(&sandbox, "/TEL/?Tel=1", &revoked).await;
        sandbox.counters().violation(Violation::RevokedToken) > 0
    };
    while !told().await {
        assert!(begun.elapsed() < PATIENCE, "it is never a violation");
    }
    assert!(begun.elapsed() >= Duration::from_secs(1), "on its way");
}

#[tokio::test]
async fn a_token_alive_on_arrival_is_good_even_if_it_dies_while_waiting() {
    let sandbox = started().await;
    sandbox.set_token_life(Duration::from_millis(300));
    let header = bearer(&sandbox, "client_phone").await;
    sandbox.set_fault("business:slow=600ms,times=1").unwrap();
    assert_eq!(
        get(&sandbox, "/TEL/?Tel=0612345678", &header)
            .await
            .status(),
        200
    );
    assert_eq!(sandbox.counters().violation(Violation::ExpiredToken), 0);
    assert_eq!(
        get(&sandbox, "/TEL/?Tel=0612345678", &header)
            .await
            .status(),
        401
    );
    assert_eq!(sandbox.counters().violation(Violation::ExpiredToken), 1);
}
