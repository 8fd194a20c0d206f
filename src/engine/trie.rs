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

#[cfg(test)]
mod tests {
    use super::super::fake::arch;
    use super::super::stage::{BranchBlocks, Stages};
    use super::super::strand::{Stage, StageReads};
    use super::super::{Stop, Weighed};
    use super::*;
    use crate::model::{Extent, KvCache, KvStore};

    /// A branch with this start layer whose last token this is.
    fn live(from: usize, token: u32, group: usize, leads: bool) -> Live {
        let block = KvStore::default().add(&arch(), Extent { columns: 0..1, layers: 0..1 }).unwrap();
        let blocks =
            BranchBlocks { context: block, context_branch: None, trunk: block, shared: block, own: block };
        Live {
            job: 0,
            branch: 0,
            requests: vec![],
            from,
            group,
            leads,
            tokens: vec![token],
            sample: None,
            weighed: Weighed::default(),
            prompt: 1,
            blocks,
            stages: Stages::alike(Stage::below(block, StageReads::Own)),
            seconds: 0.,
            stop: None,
        }
    }

    fn groups(live: &[Live]) -> Vec<(usize, bool)> {
        live.iter().map(|live| (live.group, live.leads)).collect()
    }

    #[test]
    fn a_group_parts_by_tokens_and_the_highest_start_layer_leads() {
        let mut all = [live(1, 7, 1, false), live(4, 8, 1, true), live(2, 7, 1, false), live(0, 8, 1, false)];
        let mut next = 1;
        let handed = regroup(&mut all, &mut next);
        assert_eq!(groups(&all), [(2, false), (3, true), (2, true), (3, false)]);
        // What the old leader has computed is the new one's too.
        assert_eq!((handed, next), (vec![Handed { from: 1, to: 2 }], 3));
    }

    #[test]
    fn groups_do_not_mix_and_of_equals_the_old_leader_stays() {
        let mut all = [live(2, 7, 1, false), live(2, 7, 1, true), live(3, 7, 2, true)];
        let handed = regroup(&mut all, &mut 2);
        assert_eq!(groups(&all), [(3, false), (3, true), (4, true)]);
        assert_eq!(handed, []);
    }

    #[test]
    fn what_has_stopped_belongs_to_no_group_and_hands_over() {
        let mut all = [live(4, 7, 1, true), live(1, 7, 1, false)];
        all[0].stop = Some(Stop::Eos);
        let handed = regroup(&mut all, &mut 1);
        assert_eq!((all[1].group, all[1].leads), (2, true));
        assert_eq!(handed, [Handed { from: 0, to: 1 }]);
    }
}
