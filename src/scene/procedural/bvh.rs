//! A bounding volume hierarchy over objects, split where the surface area heuristic expects the least work.

use super::shape::Object;
use glam::{Vec3, Vec3A};

#[derive(Clone, Debug)]
struct Node {
    min: Vec3A,
    max: Vec3A,
    /// The object of a leaf, or the right child of an inner node (the left one follows it).
    at: u32,
    leaf: bool,
}

/// Objects with a tree over them.
#[derive(Clone, Debug)]
pub(super) struct Bvh {
    nodes: Vec<Node>,
    pub objects: Vec<Object>,
}

/// Deeper trees are not built: at this depth splits fall back to halves, which end after log2 of the objects left.
const MAX_SKEW: usize = 32;
/// Entries of the stack of a walk; one for each level.
const STACK: usize = 64;

impl Bvh {
    pub fn new(mut objects: Vec<Object>) -> Self {
        let mut nodes = Vec::with_capacity(2 * objects.len());
        if !objects.is_empty() {
            build(&mut objects, 0, 0, &mut nodes);
        }
        Self { nodes, objects }
    }

    /// The nearest hit with parameter in `(low, high)`: parameter and object.
    pub fn closest(&self, o: Vec3, d: Vec3, low: f32, high: f32) -> Option<(f32, usize)> {
        self.walk::<false>(o, d, low, high)
    }

    /// Whether anything is hit with parameter in `(low, high)`.
    pub fn blocked(&self, o: Vec3, d: Vec3, low: f32, high: f32) -> bool {
        self.walk::<true>(o, d, low, high).is_some()
    }

    fn walk<const ANY: bool>(&self, o: Vec3, d: Vec3, low: f32, high: f32) -> Option<(f32, usize)> {
        let root = self.nodes.first()?;
        let (origin, inverse) = (Vec3A::from(o), Vec3A::from(d.recip()));
        let (mut best, mut found) = (high, None);
        let enter = |node: &Node, best: f32| {
            let (a, b) = ((node.min - origin) * inverse, (node.max - origin) * inverse);
            let (near, far) = (a.min(b).max_element(), a.max(b).min_element());
            // Not `max` and `min`, which look for NaN with three more instructions; it gives way here as well.
            let (near, far) = (if near > low { near } else { low }, if far < best { far } else { best });
            if near <= far { near } else { f32::INFINITY }
        };
        let mut stack = [(0.0f32, 0u32); STACK];
        let mut top = usize::from(enter(root, best) < f32::INFINITY);
        while top > 0 {
            top -= 1;
            let (near, mut at) = stack[top];
            if near > best {
                continue;
            }
            loop {
                let node = &self.nodes[at as usize];
                if node.leaf {
                    let index = node.at as usize;
                    if let Some(t) = self.objects[index].hit(o, d, low, best) {
                        (best, found) = (t, Some((t, index)));
                        if ANY {
                            return found;
                        }
                    }
                    break;
                }
                let (left, right) = (at + 1, node.at);
                let (a, b) = (enter(&self.nodes[left as usize], best), enter(&self.nodes[right as usize], best));
                let (close, far, t, t_far) = if a <= b { (left, right, a, b) } else { (right, left, b, a) };
                if t_far < f32::INFINITY {
                    stack[top] = (t_far, far);
                    top += 1;
                }
                if t == f32::INFINITY {
                    break;
                }
                at = close;
            }
        }
        found
    }
}

/// Half the surface of a box.
fn area((min, max): (Vec3, Vec3)) -> f32 {
    let s = (max - min).max(Vec3::ZERO);
    s.x * s.y + s.y * s.z + s.z * s.x
}

fn join(a: (Vec3, Vec3), b: (Vec3, Vec3)) -> (Vec3, Vec3) {
    (a.0.min(b.0), a.1.max(b.1))
}

const NOTHING: (Vec3, Vec3) = (Vec3::INFINITY, Vec3::NEG_INFINITY);

fn sort(objects: &mut [Object], axis: usize) {
    let centre = |o: &Object| o.bounds().0[axis] + o.bounds().1[axis];
    objects.sort_by(|a, b| centre(a).total_cmp(&centre(b)));
}

/// Adds the subtree over `objects`, the first of which is number `first` of all.
fn build(objects: &mut [Object], first: u32, depth: usize, nodes: &mut Vec<Node>) {
    let bounds = objects.iter().map(Object::bounds).fold(NOTHING, join);
    let me = nodes.len();
    nodes.push(Node { min: bounds.0.into(), max: bounds.1.into(), at: first, leaf: true });
    if objects.len() == 1 {
        return;
    }
    let count = objects.len();
    let (mut best, mut axis, mut split) = (f32::INFINITY, 0, count / 2);
    if depth < MAX_SKEW {
        for candidate in 0..3 {
            sort(objects, candidate);
            let mut after = vec![0.0; count];
            let mut sum = NOTHING;
            for i in (1..count).rev() {
                sum = join(sum, objects[i].bounds());
                after[i] = area(sum) * (count - i) as f32;
            }
            sum = NOTHING;
            for i in 1..count {
                sum = join(sum, objects[i - 1].bounds());
                let cost = area(sum) * i as f32 + after[i];
                if cost < best {
                    (best, axis, split) = (cost, candidate, i);
                }
            }
        }
    }
    sort(objects, axis);
    let (left, right) = objects.split_at_mut(split);
    build(left, first, depth + 1, nodes);
    let middle = nodes.len() as u32;
    build(right, first + split as u32, depth + 1, nodes);
    (nodes[me].at, nodes[me].leaf) = (middle, false);
}
