//! Which branches still go together: those of an item that have generated the same tokens so far. Below the smaller of
//! two start layers they are one and the same row, so each group computes it once, as the row of its leader.

use std::collections::HashMap;

use super::state::Live;

/// A leader's generated keys and values that its group's new leader takes over, by places in the list.
#[derive(Debug, PartialEq, Eq)]
pub struct Handed {
    pub from: usize,
    pub to: usize,
}

/// Part groups by the tokens just chosen and name their leaders: the branch with the highest start layer, as it goes
/// with each of the others up to that one's. Those that have stopped belong to no group any more; their keys and values
/// are still there to be handed over.
pub fn regroup(live: &mut [Live], next_group: &mut usize) -> Vec<Handed> {
    // What a group's leader has computed stands with the leader, whether or not it has stopped.
    let led: HashMap<usize, usize> =
        live.iter().enumerate().filter(|(_, live)| live.leads).map(|(at, live)| (live.group, at)).collect();
    let mut parts: HashMap<(usize, u32), Vec<usize>> = HashMap::new();
    let mut order = Vec::new();
    for (at, live) in live.iter().enumerate().filter(|(_, live)| live.stop.is_none()) {
        let Some(&token) = live.tokens.last() else { continue };
        let part = parts.entry((live.group, token)).or_default();
        if part.is_empty() {
            order.push((live.group, token));
        }
        part.push(at);
    }
    let mut handed = Vec::new();
    for key in order {
        let part = &parts[&key];
        let before = led.get(&key.0).copied();
        // Of equals the one that leads already, so that nothing need be copied.
        let leader = part.iter().copied().max_by_key(|&at| (live[at].from, Some(at) == before));
        let Some(leader) = leader else { continue };
        *next_group += 1;
        for &at in part {
            live[at].group = *next_group;
            live[at].leads = at == leader;
        }
        if let Some(before) = before.filter(|&before| before != leader) {
            handed.push(Handed { from: before, to: leader });
        }
    }
    handed
}
