//! A bounding volume hierarchy over objects, split at the median of the longest axis.

use super::shape::Object;
use glam::Vec3;

#[derive(Clone, Debug)]
struct Node {
    min: Vec3,
    max: Vec3,
    /// First object of a leaf, or the right child of an inner node (the left one follows it).
    at: u32,
    /// Objects of a leaf; 0 for an inner node.
    count: u32,
}

/// Objects with a tree over them.
#[derive(Clone, Debug)]
pub(super) struct Bvh {
    nodes: Vec<Node>,
    pub objects: Vec<Object>,
}

impl Bvh {
    pub fn new(mut objects: Vec<Object>) -> Self {
        let mut nodes = Vec::with_capacity(2 * objects.len());
        if !objects.is_empty() {
            build(&mut objects, 0, &mut nodes);
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
        if self.nodes.is_empty() {
            return None;
        }
        let inverse = d.recip();
        let (mut best, mut found) = (high, None);
        let enter = |node: &Node, best: f32| {
            let (a, b) = ((node.min - o) * inverse, (node.max - o) * inverse);
            let (near, far) = (a.min(b).max_element().max(low), a.max(b).min_element().min(best));
            if near <= far { near } else { f32::INFINITY }
        };
        // The median split keeps the depth at log2 of the number of objects.
        let mut stack = [(0.0f32, 0u32); 48];
        let mut top = 0;
        let first = enter(&self.nodes[0], best);
        if first < f32::INFINITY {
            stack[0] = (first, 0);
            top = 1;
        }
        while top > 0 {
            top -= 1;
            let (near, mut at) = stack[top];
            if near > best {
                continue;
            }
            loop {
                let node = &self.nodes[at as usize];
                if node.count > 0 {
                    for i in node.at as usize..(node.at + node.count) as usize {
                        if let Some(t) = self.objects[i].hit(o, d, low, best) {
                            (best, found) = (t, Some((t, i)));
                            if ANY {
                                return found;
                            }
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

/// Adds the subtree over `objects`, the first of which is number `first` of all.
fn build(objects: &mut [Object], first: u32, nodes: &mut Vec<Node>) {
    let (mut min, mut max) = (Vec3::INFINITY, Vec3::NEG_INFINITY);
    for object in objects.iter() {
        let (a, b) = object.bounds();
        (min, max) = (min.min(a), max.max(b));
    }
    let me = nodes.len();
    nodes.push(Node { min, max, at: first, count: objects.len() as u32 });
    if objects.len() <= 2 {
        return;
    }
    let size = max - min;
    let axis = if size.x >= size.y && size.x >= size.z { 0 } else { 1 + (size.z > size.y) as usize };
    let centre = |o: &Object| o.bounds().0[axis] + o.bounds().1[axis];
    let half = objects.len() / 2;
    objects.select_nth_unstable_by(half, |a, b| centre(a).total_cmp(&centre(b)));
    let (left, right) = objects.split_at_mut(half);
    build(left, first, nodes);
    let split = nodes.len() as u32;
    build(right, first + half as u32, nodes);
    (nodes[me].at, nodes[me].count) = (split, 0);
}
