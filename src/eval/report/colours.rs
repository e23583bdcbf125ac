//! Colours of the report. Each scale and palette can be told apart by colour-blind readers and is legible on white and
//! on dark grey.

use std::fmt::Write;

/// Red, green and blue.
pub type Rgb = [u8; 3];

/// Models, in their order (after Okabe and Ito, "Color Universal Design", without yellow and black). From the eighth
/// model on they repeat; names stand beside them everywhere.
const MODELS: [Rgb; 7] =
    [[31, 119, 190], [213, 94, 0], [0, 158, 115], [204, 121, 167], [214, 148, 0], [86, 180, 233], [136, 136, 136]];

/// Kinds within a stacked bar (after Tol's "muted" scheme, its darkest lightened), neighbours far apart.
pub const KINDS: [Rgb; 7] =
    [[136, 204, 238], [94, 84, 170], [221, 204, 119], [68, 170, 153], [204, 102, 119], [170, 68, 153], [153, 153, 153]];

/// Work of the multiply expert; also multiplies as such.
pub const MULTIPLY: Rgb = [224, 130, 20];
/// Work of the shift expert; also shifts as such.
pub const SHIFT: Rgb = [128, 115, 172];

/// Pixels that do not count: stripes of two greys.
pub const HATCH: [Rgb; 2] = [[120, 120, 120], [160, 160, 160]];

/// Colour of the model at `index`.
pub fn model(index: usize) -> Rgb {
    MODELS[index % MODELS.len()]
}

/// A scale of colours over `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Black to light yellow: no error to the largest.
    Error,
    /// Yellow to dark blue: near to far, even in inverse depth.
    Depth,
    /// Purple by white to orange: the shift expert's part to the multiply expert's.
    Routing,
}

impl Scale {
    /// All scales, in the order of their legends.
    pub const ALL: [Self; 3] = [Self::Error, Self::Depth, Self::Routing];

    /// Name in style sheets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Depth => "depth",
            Self::Routing => "routing",
        }
    }

    /// Colour at `t`, clipped to `[0, 1]`.
    pub fn at(self, t: f64) -> Rgb {
        let t = t.clamp(0.0, 1.0);
        let colour = match self {
            Self::Error => colorous::MAGMA.eval_continuous(t),
            Self::Depth => colorous::VIRIDIS.eval_continuous(1.0 - t),
            Self::Routing => colorous::PURPLE_ORANGE.eval_continuous(t),
        };
        [colour.r, colour.g, colour.b]
    }

    /// The scale from left to right as a CSS gradient.
    pub fn gradient(self) -> String {
        const STEPS: u32 = 16;
        let mut css = String::from("linear-gradient(to right");
        for step in 0..=STEPS {
            // Writing to a string cannot fail.
            let _ = write!(css, ",{}", hex(self.at(f64::from(step) / f64::from(STEPS))));
        }
        css + ")"
    }
}

/// `#rrggbb`.
pub fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Black or white, whichever stands out more on `ground`; by relative luminance as in WCAG 2.2.
pub fn readable_on(ground: Rgb) -> Rgb {
    // Contrast with white equals contrast with black at this luminance: (1.05)/(l + 0.05) = (l + 0.05)/0.05.
    if luminance(ground) > 0.179 { [0; 3] } else { [255; 3] }
}

/// Relative luminance of an sRGB colour, from 0 to 1.
pub fn luminance(colour: Rgb) -> f64 {
    let linear = colour.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_the_ends_that_their_legends_name() {
        assert_eq!(Scale::Error.at(0.0), [0, 0, 4]);
        assert!(luminance(Scale::Error.at(1.0)) > 0.9);
        assert!(luminance(Scale::Depth.at(0.0)) > luminance(Scale::Depth.at(1.0)) + 0.5, "near is bright");
        let [shift, neutral, multiply] = [0.0, 0.5, 1.0].map(|t| Scale::Routing.at(t));
        assert!(shift[2] > shift[0], "shift is purple, found {shift:?}");
        assert!(multiply[0] > multiply[2], "multiply is orange, found {multiply:?}");
        // Light, and no channel stands out by more than a tenth of what it does at the ends.
        let spread = |c: Rgb| c.into_iter().max().unwrap() - c.into_iter().min().unwrap();
        assert!(luminance(neutral) > 0.8 && spread(neutral) < 13, "the middle is neutral, found {neutral:?}");
    }

    #[test]
    fn scales_are_clipped_and_monotone() {
        for scale in Scale::ALL {
            assert_eq!(scale.at(-3.0), scale.at(0.0));
            assert_eq!(scale.at(f64::INFINITY), scale.at(1.0));
            assert_eq!(scale.gradient().matches('#').count(), 17);
        }
        // Lightness alone orders error and depth, so they survive any colour blindness and a black-and-white print.
        for scale in [Scale::Error, Scale::Depth] {
            let light: Vec<f64> = (0..=31).map(|i| luminance(scale.at(f64::from(i) / 31.0))).collect();
            let sign = (light[31] - light[0]).signum();
            assert!(light.windows(2).all(|pair| (pair[1] - pair[0]) * sign > 0.0), "{scale:?}: {light:?}");
        }
    }

    #[test]
    fn colours_contrast_with_light_and_dark_pages() {
        let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        for index in 0..9 {
            let light = luminance(model(index));
            assert!(contrast(light, luminance([255; 3])) > 1.9, "{index} on white");
            assert!(contrast(light, luminance([27, 30, 36])) > 3.0, "{index} on dark grey");
        }
        for ground in KINDS.into_iter().chain([MULTIPLY, SHIFT]) {
            assert!(contrast(luminance(ground), luminance(readable_on(ground))) > 4.5, "{ground:?}");
        }
        assert_eq!([readable_on([0; 3]), readable_on([255; 3])], [[255; 3], [0; 3]]);
        assert_eq!(hex([1, 171, 255]), "#01abff");
    }
}
