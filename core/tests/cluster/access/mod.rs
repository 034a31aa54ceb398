//! Who may do what, and who is let in: what these tests have in common.

mod joining;
mod limits;
mod rights;
mod tokens;

use std::time::Duration;

use haggle_core::access::{Kind, Principal, Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, Command, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand,
    Refusal, Rejection,
};
use haggle_core::{AgentId, AgentKey, Digest, FrameworkId, SessionId};

use crate::kit::*;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const A_DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn principal(name: &str, kind: Kind) -> Principal {
    Principal { name: name.into(), kind, token: None }
}

fn roles(patterns: &[&str]) -> Roles {
    Roles::parse(patterns).unwrap()
}

fn tenant(name: &str, role: &str) -> Principal {
    principal(name, Kind::Framework(roles(&[role])))
}

fn operator(name: &str) -> Principal {
    principal(name, Kind::Operator)
}

pub(crate) fn viewer(role: &str) -> Principal {
    principal("viewer", Kind::Viewer(roles(&[role])))
}

fn token(name: &str, kind: TokenKind) -> TokenRecord {
    TokenRecord {
        name: name.into(),
        kind,
        hash: Digest([1; 32]),
        made_ms: 0,
        expires_ms: A_DAY_MS,
        made_by: Principal::OWNER.into(),
        revoked: false,
        authority: None,
    }
}

fn ask(who: &Principal, command: OperatorCommand) -> Command {
    Command::Operator(who.clone(), None, command)
}

impl World {
    fn decides(&mut self, who: &Principal, command: OperatorCommand) -> Result<Vec<Effect>, Refusal> {
        self.try_apply(ask(who, command))
    }

    /// A token, and who comes with it.
    fn token(&mut self, id: u64, name: &str, kind: TokenKind) -> Principal {
        let record = token(name, kind);
        let who = record.principal(TokenId(id));
        self.apply(ask(&Principal::owner(), OperatorCommand::CreateToken(TokenId(id), record)));
        who
    }

    fn subscribes(&mut self, who: &Principal, id: Option<FrameworkId>, role: &str) -> Result<Framework, String> {
        let session = self.session_of(who.clone());
        let subscribe = FrameworkCommand::Subscribe { member: id.map(member), info: framework_info(role) };
        let effects = self.try_apply(Command::Framework(session, subscribe.into())).map_err(|why| why.to_string())?;
        effects
            .iter()
            .find_map(|effect| match effect {
                Effect::ToFramework(_, FrameworkEvent::Subscribed { member, .. }) => {
                    Some(Ok(Peer { id: member.id, session }))
                }
                Effect::ToFramework(to, FrameworkEvent::Error(why)) if *to == session => Some(Err(why.clone())),
                _ => None,
            })
            .expect("it is answered")
    }

    fn registers(&mut self, who: Principal, id: Option<AgentId>) -> Result<(Agent, Vec<Effect>), Rejection> {
        let session = self.session_of(who);
        let identity = AgentIdentity { member: id.map(member), key: AgentKey(u128::from(session.0)), run: session.0 };
        let info = agent_info(size(2, 1024));
        let register = AgentCommand::Register { identity, info, tasks: vec![], complete: true };
        let effects = self.apply(Command::Agent(session, register));
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::ToAgent(_, AgentOrder::Registered { member, .. }) => Some(Ok(Peer { id: member.id, session })),
            Effect::ToAgent(_, AgentOrder::Refused(why)) => Some(Err(why.clone())),
            _ => None,
        });
        answer.expect("it is answered").map(|agent| (agent, effects))
    }

    fn enrols(&mut self, who: &Principal, key: u8) -> Result<AgentId, Refusal> {
        let effects = self.decides(who, OperatorCommand::Enrol { key: Digest([key; 32]) })?;
        let enrolled = effects.iter().find_map(|effect| match effect {
            Effect::Enrolled(member) => Some(member.id),
            _ => None,
        });
        Ok(enrolled.expect("it is answered"))
    }
}

/// The errors that are the last word on this session, which is closed.
fn closed_with(effects: &[Effect], session: SessionId) -> Option<String> {
    let closed = effects.contains(&Effect::Close(session));
    effects.iter().filter(|_| closed).find_map(|effect| match effect {
        Effect::ToFramework(to, FrameworkEvent::Error(why)) if *to == session => Some(why.clone()),
        Effect::ToAgent(to, AgentOrder::Refused(why)) if *to == session => Some(why.why().to_string()),
        _ => None,
    })
}
