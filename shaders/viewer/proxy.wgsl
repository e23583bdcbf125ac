// Source photographs on triangles through their depth maps, in two passes: `front` leaves the nearest depth of those that
// share the picture, then `blend` adds up what lies within a little of it, by angle, distance and trust. The others are drawn
// at the far end of depth, where they fill holes alone. CPU twin: src/viewer/proxy/reference.rs

struct Frame {
    // Clip space from world space; depth is 0 at the near plane and 1 at infinity.
    clip_from_world: mat4x4f,
    // The camera's centre; w: what is added to the depth in clip space in the second pass, which lets through what lies a
    // little behind the nearest surface.
    eye: vec4f,
}

struct View {
    // The photograph's camera centre; w: number of the view.
    center: vec4f,
    // x: weight of the view; y: 1 for one that only fills holes, else 0.
    weight: vec4f,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(1) @binding(0) var<uniform> view: View;
@group(1) @binding(1) var photo: texture_2d<f32>;
@group(1) @binding(2) var photo_sampler: sampler;

struct Corner {
    @location(0) world: vec3f,
    @location(1) uv: vec2f,
    @location(2) trust: f32,
}

struct Point {
    @builtin(position) position: vec4f,
    @location(0) uv: vec2f,
    @location(1) world: vec3f,
    @location(2) trust: f32,
    @location(3) depth: f32,
}

struct Sums {
    // Weighted colour, and the weight.
    @location(0) colour: vec4f,
    // x: weighted depth; w, of which the largest is kept: the weight in 32 steps, times 64, and the view's number modulo 64.
    @location(1) depth: vec4f,
}

@vertex
fn front_vertex(corner: Corner) -> @builtin(position) vec4f {
    return frame.clip_from_world * vec4f(corner.world, 1.0);
}

@fragment
fn front_fragment() {}

@vertex
fn blend_vertex(corner: Corner) -> Point {
    var point: Point;
    point.position = frame.clip_from_world * vec4f(corner.world, 1.0);
    point.depth = point.position.w;
    point.position.z += frame.eye.w;
    // Before the cleared depth, behind all that is nearer than ten thousand times the near plane. No branch: lavapipe would
    // compile the shader anew whenever uniforms are written.
    point.position.z = mix(point.position.z, 0.9999 * point.position.w, view.weight.y);
    point.uv = corner.uv;
    point.world = corner.world;
    point.trust = corner.trust;
    return point;
}

@fragment
fn blend_fragment(point: Point) -> Sums {
    let to_source = view.center.xyz - point.world;
    let to_eye = frame.eye.xyz - point.world;
    let cosine = dot(to_source, to_eye) * inverseSqrt(max(dot(to_source, to_source) * dot(to_eye, to_eye), 1e-20));
    // Square of the angle between the two looks at the point, nearly.
    let angle = max(2.0 - 2.0 * cosine, 0.0);
    // A photograph from farther away is blurred.
    let farther = max(sqrt(dot(to_source, to_source) / max(dot(to_eye, to_eye), 1e-20)) - 1.0, 0.0);
    let inside = min(point.uv, 1.0 - point.uv);
    let edge = clamp(min(inside.x, inside.y) / 0.06, 0.02, 1.0);
    let near = 0.002 / (0.002 + angle + 0.02 * farther * farther);
    let weight = max(near * edge * point.trust * view.weight.x, 0.0001);
    let rgb = textureSampleLevel(photo, photo_sampler, point.uv, 0.0).rgb;
    var sums: Sums;
    sums.colour = vec4f(rgb * weight, weight);
    let rank = floor(min(sqrt(weight), 1.0) * 31.0) * 64.0;
    sums.depth = vec4f(point.depth * weight, 0.0, 0.0, rank + view.center.w);
    return sums;
}
