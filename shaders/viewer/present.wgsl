// The picture that is shown: for every pixel the best that is known of it (the network at that pixel, the network at pixels
// around with the detail of the photographs, photographs through depth maps), and of that what one wants to see.
// CPU twin: src/viewer/present/reference.rs

// What is shown: 0 colour, 1 depth, 2 normals, 3 error, 4 view, 5 confidence, 6 experts.
override kind: u32 = 0;
// What of the picture is shown: 0 photographs alone, 1 every fourth pixel of the network's as well, 2 every second, 3 all of
// them, as far as they are there, 4 all of them, all of which are there.
//
// Both are constants of a pipeline: lavapipe runs all branches for every pixel, and where a branch depends on a uniform it
// compiles the shader anew, and keeps it, whenever uniforms are written.
override level: u32 = 2;

struct Settings {
    // Width and height of the picture that is shown, and of the network's picture, in pixels.
    shown: vec2f,
    made: vec2f,
    // Nearest and farthest depth of the colour map.
    range: vec2f,
    // Focal lengths and principal point of the picture that is shown, in its pixels.
    focal: vec2f,
    center: vec2f,
    // A pixel times the former plus the latter is the place in the photograph that errors are told from, from 0 to 1.
    truth_scale: vec2f,
    truth_offset: vec2f,
    // Pixel of the target that is the picture's first.
    origin: vec2f,
    // What errors are multiplied by.
    gain: f32,
    padding: f32,
}

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var proxy_colour: texture_2d<f32>;
@group(0) @binding(2) var proxy_depth: texture_2d<f32>;
@group(0) @binding(3) var full_colour: texture_2d<f32>;
@group(0) @binding(4) var full_facts: texture_2d<f32>;
@group(0) @binding(5) var truth: texture_2d<f32>;
@group(0) @binding(6) var truth_sampler: sampler;

// What is known of a pixel. A depth of 0 and a negative view, confidence or share mean that they are not known.
struct Known {
    rgb: vec3f,
    depth: f32,
    confidence: f32,
    view: f32,
    multiplied: f32,
}

const BACKGROUND = vec3f(0.11, 0.11, 0.12);
// Squared differences of colours: at which a pixel around counts half, and at which detail of photographs does.
const ALIKE = 0.03;
const AGREE = 0.01;

@vertex
fn vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    // One triangle that covers everything.
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

// The photographs at a pixel; where none reaches it, what is found around it.
fn from_proxy(pixel: vec2i) -> Known {
    let last = vec2i(textureDimensions(proxy_colour)) - 1;
    var colour = textureLoad(proxy_colour, clamp(pixel, vec2i(0), last), 0);
    var depth = textureLoad(proxy_depth, clamp(pixel, vec2i(0), last), 0);
    var known: Known;
    known.confidence = -1.0;
    known.multiplied = -1.0;
    known.view = -1.0;
    if colour.a > 0.0 {
        known.view = depth.w - floor(depth.w / 64.0) * 64.0;
        known.rgb = colour.rgb / colour.a;
        known.depth = depth.x / colour.a;
        return known;
    }
    for (var reach = 2; reach <= 64 && colour.a == 0.0; reach *= 2) {
        for (var i = 0; i < 8; i++) {
            let turn = f32(i) * 0.785398;
            let there = pixel + vec2i(round(vec2f(cos(turn), sin(turn)) * f32(reach)));
            if all(there >= vec2i(0)) && all(there <= last) {
                let found = textureLoad(proxy_colour, there, 0);
                if found.a > 0.0 {
                    colour += vec4f(found.rgb / found.a, 1.0);
                    depth.x += textureLoad(proxy_depth, there, 0).x / found.a;
                }
            }
        }
    }
    known.rgb = BACKGROUND;
    if colour.a > 0.0 {
        known.rgb = colour.rgb / colour.a;
        known.depth = depth.x / colour.a;
    }
    return known;
}

// The pixel that is shown of a pixel of the network's picture.
fn shown_of_made(made: vec2i) -> vec2i {
    return vec2i((vec2f(made) + 0.5) * settings.shown / settings.made);
}

fn known_of(colour: vec4f, facts: vec4f) -> Known {
    return Known(colour.rgb, facts.x, facts.y, facts.z, facts.w);
}

fn best(pixel: vec2i) -> Known {
    if level == 0u {
        return from_proxy(pixel);
    }
    let made = (vec2f(pixel) + 0.5) * settings.made / settings.shown - 0.5;
    let nearest = clamp(vec2i(round(made)), vec2i(0), vec2i(settings.made) - 1);
    if level >= 3u {
        let colour = textureLoad(full_colour, nearest, 0);
        if level == 4u || colour.a > 0.0 {
            var known = known_of(colour, textureLoad(full_facts, nearest, 0));
            // Between pixels of a smaller picture colours are blended, where all four are there.
            let first = clamp(vec2i(floor(made)), vec2i(0), vec2i(settings.made) - 1);
            let next = min(first + 1, vec2i(settings.made) - 1);
            let t = clamp(made - vec2f(first), vec2f(0.0), vec2f(1.0));
            let a = textureLoad(full_colour, first, 0);
            let b = textureLoad(full_colour, vec2i(next.x, first.y), 0);
            let c = textureLoad(full_colour, vec2i(first.x, next.y), 0);
            let d = textureLoad(full_colour, next, 0);
            if min(min(a.a, b.a), min(c.a, d.a)) > 0.0 {
                known.rgb = mix(mix(a.rgb, b.rgb, t.x), mix(c.rgb, d.rgb, t.x), t.y);
            }
            return known;
        }
    }
    let proxy = from_proxy(pixel);
    // Every second pixel, else every fourth.
    for (var every = select(2, 4, level == 1u); every <= 4; every *= 2) {
        var fused = around(made, every, proxy);
        if fused.confidence >= 0.0 {
            return fused;
        }
    }
    return proxy;
}

// What the network says at the four pixels around, whose columns and rows are multiples of `every`, with the detail that the
// photographs have between them. Pixels that look alike in the photographs count for more, and detail counts for less the
// less the photographs agree with the network. A confidence below 0 if one of the four is not known.
fn around(made: vec2f, every: i32, proxy: Known) -> Known {
    let last = (vec2i(settings.made) - 1) / every;
    let first = clamp(vec2i(floor(made / f32(every))), vec2i(0), max(last - 1, vec2i(0)));
    let t = clamp(made / f32(every) - vec2f(first), vec2f(0.0), vec2f(1.0));
    var sum = vec4f(0.0);
    var photos = vec3f(0.0);
    var disagree = 0.0;
    var depth = 0.0;
    var all_there = true;
    var facts = vec4f(0.0);
    var most = -1.0;
    for (var i = 0; i < 4; i++) {
        let corner = vec2i(i & 1, i >> 1u);
        let there = min(first + corner, last) * every;
        let part = select(1.0 - t, t, corner == vec2i(1));
        let colour = textureLoad(full_colour, there, 0);
        let fact = textureLoad(full_facts, there, 0);
        all_there = all_there && colour.a > 0.0;
        let photo = from_proxy(shown_of_made(there)).rgb;
        let off = photo - proxy.rgb;
        let weight = part.x * part.y * (ALIKE / (ALIKE + dot(off, off)) + 0.02);
        sum += vec4f(colour.rgb * weight, weight);
        photos += photo * weight;
        let apart = colour.rgb - photo;
        disagree += dot(apart, apart) * weight;
        depth += weight / max(fact.x, 1e-6);
        if weight > most {
            most = weight;
            facts = fact;
        }
    }
    let all = max(sum.a, 1e-6);
    let detail = (proxy.rgb - photos / all) * AGREE / (AGREE + disagree / all);
    var known = known_of(vec4f(clamp(sum.rgb / all + detail, vec3f(0.0), vec3f(1.0)), 1.0), facts);
    known.depth = sum.a / max(depth, 1e-6);
    known.confidence = select(-1.0, known.confidence, all_there);
    return known;
}

// A. Mikhailov, "Turbo, an improved rainbow colormap" (2019), as its polynomial.
fn turbo(t: f32) -> vec3f {
    let x = clamp(t, 0.0, 1.0);
    let four = vec4f(1.0, x, x * x, x * x * x);
    let two = four.zw * four.z;
    return clamp(vec3f(
        dot(four, vec4f(0.13572138, 4.61539260, -42.66032258, 132.13108234)) + dot(two, vec2f(-152.94239396, 59.28637943)),
        dot(four, vec4f(0.09140261, 2.19418839, 4.84296658, -14.18503333)) + dot(two, vec2f(4.27729857, 2.82956604)),
        dot(four, vec4f(0.10667330, 12.64194608, -60.58204836, 110.36276771)) + dot(two, vec2f(-89.90310912, 27.34824973)),
    ), vec3f(0.0), vec3f(1.0));
}

// A colour for a number, far from those of its neighbours.
fn label(number: f32) -> vec3f {
    let hue = fract(number * 0.61803399) * 6.0;
    let rgb = clamp(vec3f(abs(hue - 3.0) - 1.0, 2.0 - abs(hue - 2.0), 2.0 - abs(hue - 4.0)), vec3f(0.0), vec3f(1.0));
    return mix(vec3f(0.9), rgb, 0.75);
}

fn point(pixel: vec2i, depth: f32) -> vec3f {
    return vec3f((vec2f(pixel) - settings.center) / settings.focal, 1.0) * depth;
}

// Towards the camera is light blue, to the right red, upwards green.
fn normal(pixel: vec2i, here: f32) -> vec3f {
    let right = best(pixel + vec2i(2, 0)).depth;
    let left = best(pixel - vec2i(2, 0)).depth;
    let below = best(pixel + vec2i(0, 2)).depth;
    let above = best(pixel - vec2i(0, 2)).depth;
    // Across an edge the side that is nearer in depth is taken.
    let p = point(pixel, here);
    let use_right = abs(right - here) < abs(left - here);
    let across = select(p - point(pixel - vec2i(2, 0), left), point(pixel + vec2i(2, 0), right) - p, use_right);
    let use_below = abs(below - here) < abs(above - here);
    let down = select(p - point(pixel - vec2i(0, 2), above), point(pixel + vec2i(0, 2), below) - p, use_below);
    let n = normalize(cross(down, across));
    return vec3f(n.x, -n.y, -n.z) * 0.5 + 0.5;
}

@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let pixel = vec2i(position.xy - settings.origin);
    let known = best(pixel);
    var rgb = known.rgb;
    let inverse = (1.0 / max(known.depth, 1e-6) - 1.0 / settings.range.y) / (1.0 / settings.range.x - 1.0 / settings.range.y);
    switch kind {
        case 1u: {
            rgb = select(BACKGROUND, turbo(inverse), known.depth > 0.0);
        }
        case 2u: {
            rgb = BACKGROUND;
            if known.depth > 0.0 {
                rgb = normal(pixel, known.depth);
            }
        }
        case 3u: {
            let uv = vec2f(pixel) * settings.truth_scale + settings.truth_offset;
            let photo = textureSampleLevel(truth, truth_sampler, uv, 0.0).rgb;
            let off = abs(photo - clamp(rgb, vec3f(0.0), vec3f(1.0)));
            let inside = all(uv >= vec2f(0.0)) && all(uv <= vec2f(1.0));
            rgb = select(BACKGROUND, turbo(settings.gain * (off.r + off.g + off.b) / 3.0), inside);
        }
        case 4u: {
            rgb = select(BACKGROUND, mix(label(known.view), vec3f(dot(known.rgb, vec3f(0.3, 0.6, 0.1))), 0.35), known.view >= 0.0);
        }
        case 5u: {
            rgb = select(BACKGROUND, turbo(known.confidence), known.confidence >= 0.0);
        }
        case 6u: {
            rgb = select(BACKGROUND, turbo(known.multiplied), known.multiplied >= 0.0);
        }
        default: {}
    }
    return vec4f(clamp(rgb, vec3f(0.0), vec3f(1.0)), 1.0);
}
