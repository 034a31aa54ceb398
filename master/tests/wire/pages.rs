//! Pages as a browser reads them, and who is shown what.

use haggle_master::{Config, Master};
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::{PrincipalKind, TaskState, Usage, UsageSoFar};

use crate::access::{create, wanted};
use crate::metrics::{ask, owners};
use crate::peers::{Agent, Framework, loopback, spec};

pub(crate) const ORIGIN: &str = "origin: http://master";

pub(crate) async fn get(master: &Master, path: &str, lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    ask(master, "GET", path, &lines).await
}

/// Sends a form.
pub(crate) async fn post(master: &Master, path: &str, form: &str, lines: &[&str]) -> String {
    let length = format!("content-length: {}", form.len());
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    // The body stands behind the empty line that ends the headers.
    lines.extend(["content-type: application/x-www-form-urlencoded".to_owned(), format!("{length}\r\n\r\n{form}")]);
    ask(master, "POST", path, &lines).await
}

pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

/// What a browser keeps after it logged in with this.
pub(crate) async fn log_in(master: &Master, token: &str) -> String {
    let answer = post(master, "/login", &format!("next=%2Ftasks&token={token}"), &[ORIGIN]).await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /tasks\r\n"), "{answer}");
    let kept = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(kept.contains("; HttpOnly; SameSite=Strict"), "{kept}");
    format!("cookie: {}", kept.split(';').next().unwrap())
}

#[tokio::test]
async fn a_stranger_is_led_to_log_in_and_programs_are_told_so() {
    let master = Master::start(Config::new(loopback())).await.unwrap();

    let browser = get(&master, "/tasks?state=failed", &["accept: text/html"]).await;
    let program = get(&master, "/tasks.json", &[]).await;
    let asset = get(&master, "/assets/style.css", &[]).await;

    assert!(browser.starts_with("HTTP/1.1 303"), "{browser}");
    assert!(browser.contains("location: /login?next=/tasks%3Fstate%3Dfailed\r\n"), "{browser}");
    assert!(program.starts_with("HTTP/1.1 401") && program.contains("www-authenticate: Bearer"), "{program}");
    assert!(asset.starts_with("HTTP/1.1 200") && asset.contains("immutable"), "{asset}");
}

#[tokio::test]
async fn every_page_answers_in_html_and_in_json_and_forbids_what_is_of_others() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let owner = format!("authorization: {}", owners(&master));

    for page in ["/", "/agents", "/roles", "/frameworks", "/offers", "/tasks", "/events", "/tokens", "/audit"] {
        let html = get(&master, page, &[&owner, "accept: text/html"]).await;
        assert!(html.starts_with("HTTP/1.1 200") && html.contains("<h1>"), "{page}: {html}");
        assert!(html.contains("content-security-policy: default-src 'self'"), "{page}: {html}");

        let json = get(&master, page, &[&owner, "accept: application/json"]).await;
        assert!(json.contains("content-type: application/json") && json.trim_end().ends_with('}'), "{page}: {json}");
    }
    let missing = get(&master, "/tasks/task-1.1", &[&owner]).await;
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("there is no task-1.1"), "{missing}");
}

#[tokio::test]
async fn a_task_is_seen_by_whom_it_is_of_and_killed_from_a_page_of_this_origin_alone() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let task = agent.launched().await;
    agent.update(&task, 1, TaskState::Running).await;
    framework.update().await;
    let of = async |kind, roles: &'static [&'static str]| create(&master, wanted(kind, "", roles)).await.text;
    let operator = log_in(&master, &of(PrincipalKind::Operator, &[]).await).await;
    let bystander = log_in(&master, &of(PrincipalKind::Viewer, &["other"]).await).await;
    let viewer = log_in(&master, &of(PrincipalKind::Viewer, &["*"]).await).await;
    let page = format!("/tasks/task-{}.1", framework.id);

    let seen = get(&master, &page, &[&operator]).await;
    assert!(seen.starts_with("HTTP/1.1 200") && seen.contains("haggle kill"), "{seen}");
    assert!(get(&master, &page, &[&bystander]).await.starts_with("HTTP/1.1 404"));
    let looked = get(&master, &page, &[&viewer]).await;
    assert!(looked.starts_with("HTTP/1.1 200") && !looked.contains("haggle kill"), "what one may not do is not shown");
    assert!(!looked.contains("href=\"/tokens\"") && !looked.contains("href=\"/audit\""), "{looked}");
    assert!(get(&master, "/tokens", &[&viewer, "accept: text/html"]).await.starts_with("HTTP/1.1 403"));

    let kill = format!("{page}/kill");
    let of_another_site = post(&master, &kill, "", &[&operator, "origin: http://evil.example"]).await;
    assert!(of_another_site.starts_with("HTTP/1.1 303") && of_another_site.contains("/login"), "{of_another_site}");
    assert!(post(&master, &kill, "", &[&viewer, ORIGIN]).await.starts_with("HTTP/1.1 403"));
    assert!(post(&master, &kill, "", &[&bystander, ORIGIN]).await.starts_with("HTTP/1.1 403"));
    let killed = post(&master, &kill, "", &[&operator, ORIGIN]).await;
    assert!(killed.starts_with("HTTP/1.1 303") && killed.contains(&format!("location: {page}")), "{killed}");
    // Whoever looked asked it for the end of the output, too.
    let killed = loop {
        if let Order::Kill(task) = agent.order().await {
            break task;
        }
    };
    assert_eq!(killed.number, 1);
}

#[tokio::test]
async fn what_a_task_uses_is_asked_of_its_agent_by_whom_the_task_is_of() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let task = agent.launched().await;
    agent.update(&task, 1, TaskState::Running).await;
    framework.update().await;
    let owner = format!("authorization: {}", owners(&master));
    let bystander = bearer(&create(&master, wanted(PrincipalKind::Viewer, "", &["other"])).await.text);
    let page = format!("/tasks/task-{}.1/usage.json", framework.id);

    let answers = async {
        loop {
            if let Order::ReadUsage(order) = agent.order().await {
                let usage = Usage { cpu_ns: 1_500_000_000, wall_ns: 3_000_000_000, ..Usage::default() };
                agent.say(Report::Usage(UsageSoFar { request: order.request, usage: Some(usage) })).await;
                break;
            }
        }
    };
    let shown = [owner.as_str()];
    let (told, ()) = tokio::join!(get(&master, &page, &shown), answers);

    assert!(told.contains("\"cpu_seconds\":1.5") && told.contains("\"is_over\":false"), "{told}");
    assert!(get(&master, &page, &[&bystander]).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_token_that_ended_is_no_cookie_any_more() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let token = create(&master, wanted(PrincipalKind::Viewer, "", &["*"])).await;
    let viewer = log_in(&master, &token.text).await;
    let id = get(&master, "/tokens.json", &[&format!("authorization: {}", owners(&master))]).await;
    let id = id.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    let revoked =
        ask(&master, "POST", &format!("/tokens/{id}/revoke"), &[format!("authorization: {}", owners(&master))]).await;

    assert!(revoked.starts_with("HTTP/1.1 303"), "{revoked}");
    let after = get(&master, "/tasks", &[&viewer]).await;
    assert!(after.starts_with("HTTP/1.1 303") && after.contains("/login"), "{after}");
}

#[tokio::test]
async fn nobody_logs_in_from_another_site_or_with_what_is_no_token() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let token = create(&master, wanted(PrincipalKind::Viewer, "", &["*"])).await.text;

    let elsewhere = post(&master, "/login", &format!("token={token}"), &["origin: http://evil.example"]).await;
    let wrong = post(&master, "/login", "token=x&next=//evil.example", &[ORIGIN]).await;
    let large = post(&master, "/login", &"x".repeat(20_000), &[ORIGIN]).await;
    let read = get(&master, &format!("/login?token={token}"), &[]).await;

    for refused in [&elsewhere, &wrong, &large, &read] {
        assert!(!refused.contains("set-cookie") && !refused.contains("//evil.example\""), "{refused}");
    }
    assert!(wrong.starts_with("HTTP/1.1 401"), "{wrong}");
    let shown = bearer(&token);
    assert!(get(&master, "/tasks", &[&shown]).await.starts_with("HTTP/1.1 200"), "programs show the token itself");
}
