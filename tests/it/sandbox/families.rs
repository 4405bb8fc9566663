//! Every path answers in its documented shape, and says what it lacks.

use dqe_proxy::sandbox::Family;

use super::{bearer, get, post, started};

#[tokio::test]
async fn every_family_answers_in_its_documented_shape() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_general").await;
    for (target, expected) in [
        (
            "/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA&Instance=3",
            r#"{"1":{"Instance":"3","IDLocalite":"75120""#,
        ),
        (
            "/singlev2?Adresse=5+rue+des+pyr&Pays=FRA",
            r#"{"1":{"Instance":"","IDLocalite":"75120""#,
        ),
        (
            "/SINGLE/?Pays=FRA&Lat=48.86&Lon=2.40&DistAdr=1",
            r#"{"1":{"#,
        ),
        (
            "/COMPLV2/?IDVoie=751207837&IDNum=5&Pays=FRA",
            r#"{"1":{"Batiment":"BATIMENT A"},"#,
        ),
        (
            "/COMPL/?IDVoie=751207837&IDNum=5&Pays=FRA",
            r#"{"1":{"Batiment":"BATIMENT A"},"#,
        ),
        (
            "/CP/?CodePostal=0150&Pays=FRA&Alpha=True",
            r#"{"1":{"IDLocalite":"01004","CodePostal":"01500""#,
        ),
        ("/CP/?CodePostal=99999&Pays=FRA&Alpha=True", "{}"),
        (
            "/ADR/?IDLocalite=75120&Adresse=pyr&Pays=FRA",
            r#"{"1":{"IDVoie":"751207837""#,
        ),
        (
            "/NUM/?IDVoie=441091590",
            r#"{"1":{"ListeNumero":"1;2;3;4;5;6;7;8;9"}}"#,
        ),
        (
            "/RNVP/?Adresse=%7C5%20rue%20des%20pyrenees%7C%7C75020%7Cparis&Pays=FRA",
            r#"{"1":{"Instance":"","Adresse":"5 RUE DES PYRENEES""#,
        ),
        (
            "/LATLG/?IDVoie=751207837&Num=5&Pays=FRA",
            r#"{"1":{"Latitude":"48."#,
        ),
        (
            "/TEL/?Tel=+33612345678&Format=1&Separator=.",
            r#"{"1":{"TelOrigine":" 33612345678","Tel":"06.12.34.56.78""#,
        ),
        (
            "/DQEEMAILLOOKUP/?Email=a%2540example.fr",
            r#"{"1":{"Redressement":0,"eMailOrigine":"a%40example.fr","IdError":"00","eMail":"a@example.fr""#,
        ),
        (
            "/DQEEMAILLOOKUP/",
            r#"{"1":{"Redressement":0,"eMailOrigine":"","IdError":"04""#,
        ),
        (
            "/MAILSUGGEST/?Nom=Doe&Prenom=Jane&Email=&Instance=0",
            r#"{"Instance":"0","suggest":["j.doe@""#,
        ),
        (
            "/FIRSTNAMESUGGEST/?Firstname=alice&NBResponse=1",
            r#"{"suggest":[["F","ALICE"]]}"#,
        ),
        (
            "/LASTNAMESUGGEST/?Lastname=dupo",
            r#"{"suggest":[["I","DUPOND"],["I","DUPONT"]]}"#,
        ),
        (
            "/RECSIRET/?CompanyName=librairie&Country=FRA&Dictionary=Y",
            r#"{"DATA1":{"SEARCH_REF":"_2","CompanyName":"LIBRAIRIE GAMBETTA""#,
        ),
        (
            "/SIRETINFO/?Siret=00000000200019&Country=FRA",
            r#"{"DATA1":{"DQE_status":"FOUND""#,
        ),
        (
            "/SEARCH/?Address=5+rue+des+pyrenees&PostalCode=75020&City=Paris&LastName=Martin&FirstName=Paul&Version=2",
            r#"{"DATA1":{"Result":"FOUND","Check_LastName":"E""#,
        ),
        ("/ESTOCADE/?Nom=Moreau", r#"{"RESULT":"TRUE"}"#),
        (
            "/GETINFOLIFESTYLE/?Address=a&PostalCode=75020",
            r#"{"DATA1":{"TYPO_1":"TYPE "#,
        ),
        (
            "/GDPR_MSG/?Phone=0612345678&Custom_sms=a&Country=FRA&Company=abc",
            r#"{"status":"OK","smsToken":"SMS"#,
        ),
        (
            "/GDPR_VERIF/?Phone=0612345678&Token=x&Pin=1",
            r#"{"status":"KO","phone":"0612345678","errors":{"01":"#,
        ),
        (
            "/v1/single/?Address=5+rue+des+pyr&Country=FRA",
            r#"{"Found":2,"Addresses":[{"Label":"5 RUE DES PYRENEES|75020 PARIS""#,
        ),
        (
            "/v1/compl/?StreetId=751207837&StreetNumber=5&Country=FRA",
            r#"{"Found":3,"AdditionalAddresses":[{"AdditionalAddress":"BATIMENT A""#,
        ),
        (
            "/v1/funnelpostcode/?PostalCode=75&Country=FRA",
            r#"{"Found":3,"#,
        ),
        (
            "/v1/funneladdress/?CityId=75120&Country=FRA&Street=gamb",
            r#"{"Found":1,"#,
        ),
        (
            "/v1/funnelcompl/?StreetId=751207837&StreetNumber=&Country=FRA",
            r#"{"Found":0,"#,
        ),
        (
            "/v1/checkaddress/?Address=%7C8+victor+hugo%7C%7C75020%7CParis&Country=FRA",
            r#"{"Found":1,"Addresses":[{"Address":"8 VICTOR HUGO""#,
        ),
        (
            "/v1/phonelookup/?Number=0612345678&Country=FRA&Format=",
            r#"{"Found":1,"Phones":[{"IdError":"1""#,
        ),
        (
            "/v1/phone/lookup?phone=0612345678&country=FRA",
            r#"{"Found":1,"Phones":[{"IdError":"1""#,
        ),
        (
            "/v1/lookupemail/?Email=a@gmial.com",
            r#"{"Found":1,"Emails":[{"IdError":"02","Corrected":0,"SuggestedEmail":"a@gmail.com""#,
        ),
        (
            "/v1/emailsuggest/?FirstName=Jane&LastName=Doe&Email=",
            r#"{"Found":4,"#,
        ),
        (
            "/v1/email/lookup?email=a@example.fr",
            r#"{"IdError":0,"Error":"OK""#,
        ),
        (
            "/v1/lookupcname/?CompanyName=pharmacie&Country=FRA",
            r#"{"Found":1,"Companies":[{"SearchRef":"_6""#,
        ),
        (
            "/v1/checkname/?CompanyNumber=000000006&Country=FRA",
            r#"{"Found":1,"#,
        ),
        ("/v1/b2b/get-info?SearchRef=_6", r#"{"Found":1,"#),
        (
            "/v1/b2b/lookup?CompanyName=pharmacie&Country=FRA",
            r#"[{"SearchRef":"_6""#,
        ),
        ("/v1/b2b/lookup?CompanyName=zzz&Country=FRA", "[]"),
    ] {
        let reply = get(&sandbox, target, &header).await;
        assert_eq!(reply.status(), 200, "{target}: {}", reply.text);
        assert!(
            reply.body().starts_with(expected),
            "{target}: {}",
            reply.body()
        );
        assert!(
            serde_json::from_str::<serde_json::Value>(reply.body()).is_ok(),
            "{target}"
        );
    }
    assert_eq!(sandbox.counters().violations(), 0);
    assert_eq!(sandbox.counters().family(Family::Civility), 2);
}

#[tokio::test]
async fn the_newer_lookups_take_json_and_the_others_take_forms() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_general").await;
    let json = r#"{"email":"a@gmial.com","rectify":true}"#;
    let reply = post(
        &sandbox,
        "/v1/email/lookup",
        &header,
        "application/json",
        json,
    )
    .await;
    assert!(
        reply
            .body()
            .contains(r#""Formatted":"a@gmail.com","Corrected":true"#),
        "{}",
        reply.text
    );
    let json = r#"{"country":"FRA","phone":"0612345678"}"#;
    let reply = post(
        &sandbox,
        "/v1/phone/lookup",
        &header,
        "application/json",
        json,
    )
    .await;
    assert!(
        reply.body().contains(r#""Type":"MOBILE""#),
        "{}",
        reply.text
    );
    let form = "application/x-www-form-urlencoded";
    let reply = post(&sandbox, "/TEL/", &header, form, "Tel=0612345678").await;
    assert!(
        reply.body().contains(r#""Operator":"SFR""#),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_missing_parameter_is_answered_as_each_family_documents() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_general").await;
    for (target, status, body) in [
        ("/SINGLEV2/?adresse=5&Pays=FRA", 400, "Bad Request"),
        ("/TEL/", 400, "Bad Request"),
        ("/LATLG/?IDVoie=1&Pays=FRA", 500, "Internal Server Error"),
        ("/FIRSTNAMESUGGEST/", 200, r#"{"suggest":[]}"#),
        (
            "/v1/single/?Country=FRA",
            400,
            r#"{"status":400,"message":"Missing parameters","details":"Address","error":"bad request"}"#,
        ),
        ("/nothing/", 404, "Not Found"),
    ] {
        let reply = get(&sandbox, target, &header).await;
        assert_eq!((reply.status(), reply.body()), (status, body), "{target}");
    }
}

#[tokio::test]
async fn jsonp_wraps_the_document_as_a_string() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_civility").await;
    let target = "/LASTNAMESUGGEST/?Lastname=dupont&callback=jQuery1_2&_=1";
    let reply = get(&sandbox, target, &header).await;
    assert_eq!(
        reply.body(),
        r#"jQuery1_2("{\"suggest\":[[\"I\",\"DUPONT\"]]}")"#
    );
    assert!(reply.has_header("content-type: application/javascript"));
    let hostile = get(
        &sandbox,
        "/LASTNAMESUGGEST/?Lastname=x&callback=alert(1)//",
        &header,
    )
    .await;
    assert!(
        hostile.has_header("content-type: application/json"),
        "{}",
        hostile.text
    );
}

#[tokio::test]
async fn a_path_without_its_slash_is_redirected_when_switched_on() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_phone").await;
    sandbox.set_switch("slash-redirect", "on").unwrap();
    let reply = get(&sandbox, "/TEL?Tel=%2B33612345678", &header).await;
    assert_eq!(reply.status(), 301);
    let location = format!("location: {}/TEL/?Tel=%2B33612345678", sandbox.url());
    assert!(reply.has_header(&location), "{}", reply.text);
    assert_eq!(
        get(&sandbox, "/v1/phone/lookup?phone=1&country=FRA", &header)
            .await
            .status(),
        200
    );
}
