//! What a long life leaves behind in the core.

use crate::world::Boot;

use super::*;

/// How much the core remembers: what it would print of itself, whatever the numbers are.
fn memory_of(world: &World) -> usize {
    format!("{:?}", world.fleet).chars().filter(|letter| !letter.is_ascii_digit()).count()
}

#[test]
fn ten_thousand_rolls_leave_nothing_behind() {
    let dies = Nature { boot: Boot::Dies(3), ..Nature::GOOD };
    let natures = [[Nature::GOOD; 11].as_slice(), &[dies], &[dies; 4]].concat();
    let mut world = World::new(rules(), 2, natures);
    let mut most = |rolls: u32| {
        let memories = (0..rolls).map(|_| {
            world.restart();
            world.wait(400);
            world.trace.clear();
            world.milestones.clear();
            memory_of(&world)
        });
        memories.max().unwrap()
    };
    let early = most(200);
    most(9_600);
    let late = most(200);
    assert!(late <= early, "{early}, then {late}");
}
