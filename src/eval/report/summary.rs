//! Means and percentiles of what was measured.

use super::data::{Case, ImageTime, Latency, Scores, Summary};

/// Mean of scores; LPIPS is there only if all have it.
///
/// # Panics
/// If there are none.
pub fn mean<'a>(scores: impl IntoIterator<Item = &'a Scores>) -> Scores {
    let scores: Vec<&Scores> = scores.into_iter().collect();
    assert!(!scores.is_empty(), "expected scores to take the mean of, found none");
    let of = |value: &dyn Fn(&Scores) -> f64| scores.iter().map(|s| value(s)).sum::<f64>() / scores.len() as f64;
    let lpips = scores.iter().all(|s| s.lpips.is_some()).then(|| of(&|s| s.lpips.unwrap_or_default()));
    Scores { psnr: of(&|s| s.psnr), ssim: of(&|s| s.ssim), lpips, flip: of(&|s| s.flip) }
}

/// Fills in a case's mean and its routed rows from its images.
pub fn complete(case: &mut Case) {
    if !case.images.is_empty() {
        case.mean = mean(case.images.iter().map(|image| &image.scores));
    }
    case.routed.clear();
    let counted = case.images.iter().all(|image| !image.routed.is_empty());
    for image in case.images.iter().filter(|_| counted) {
        case.routed.resize(image.routed.len(), [0; 2]);
        for (sum, rows) in case.routed.iter_mut().zip(&image.routed) {
            *sum = [sum[0] + rows[0], sum[1] + rows[1]];
        }
    }
}

/// Means by model, split and number of views, in the order in which the cases first name them.
pub fn summaries(cases: &[Case]) -> Vec<Summary> {
    let mut groups: Vec<Vec<&Case>> = Vec::new();
    for case in cases.iter().filter(|case| !case.images.is_empty()) {
        let same = |group: &&mut Vec<&Case>| {
            let key = &group[0].key;
            (&key.model, &key.split, key.views) == (&case.key.model, &case.key.split, case.key.views)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    let summary = |group: Vec<&Case>| Summary {
        model: group[0].key.model.clone(),
        split: group[0].key.split.clone(),
        views: group[0].key.views,
        num_scenes: group.len() as u64,
        num_images: group.iter().map(|case| case.images.len() as u64).sum(),
        mean_over_images: mean(group.iter().flat_map(|case| case.images.iter().map(|image| &image.scores))),
        mean_over_scenes: mean(group.iter().map(|case| &case.mean)),
    };
    groups.into_iter().map(summary).collect()
}

/// The smallest of `sorted` values that `share` of them do not exceed; 0 for none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// Middle of `sorted` values: the mean of the two middle ones where their number is even; 0 for none.
pub fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

impl Latency {
    /// Fills in what follows from the times of the images.
    pub fn complete(&mut self) {
        let mut seconds: Vec<f64> = self.images.iter().flat_map(|image| image.seconds.iter().copied()).collect();
        seconds.sort_by(f64::total_cmp);
        self.timed = seconds.len() as u64;
        self.median = median(&seconds);
        self.p95 = percentile(&seconds, 0.95);
        self.min = seconds.first().copied().unwrap_or_default();
        self.max = seconds.last().copied().unwrap_or_default();
        let rays: f64 = self.images.iter().map(|image| image.rays as f64 * image.seconds.len() as f64).sum();
        let total: f64 = seconds.iter().sum();
        self.rays_per_second = if total > 0.0 { rays / total } else { 0.0 };
        let (features, sources) =
            self.images.iter().map(|i| i.features).fold((0.0, 0), |(s, n), (seconds, count)| (s + seconds, n + count));
        self.seconds_a_source = (sources > 0).then(|| features / sources as f64);
        let joules: Option<Vec<f64>> = self.images.iter().map(|image: &ImageTime| image.joules).collect();
        self.joules = joules.filter(|j| !j.is_empty()).map(|j| j.iter().sum::<f64>() / j.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians_by_hand() {
        let values: Vec<f64> = (1..=31).map(f64::from).collect();
        assert_eq!((median(&values), percentile(&values, 0.95), percentile(&values, 1.0)), (16.0, 30.0, 31.0));
        assert_eq!((median(&values[..2]), percentile(&values[..2], 0.95)), (1.5, 2.0));
        assert_eq!((median(&[7.0]), percentile(&[7.0], 0.0), percentile(&[7.0], 0.95)), (7.0, 7.0, 7.0));
        assert_eq!((median(&[]), percentile(&[], 0.95)), (0.0, 0.0));
    }

    #[test]
    fn a_score_that_one_lacks_has_no_mean() {
        let score = |psnr, lpips| Scores { psnr, ssim: 0.5, lpips, flip: 0.1 };
        let all = [score(20.0, Some(0.2)), score(23.0, Some(0.4))];
        assert_eq!(mean(&all).psnr, 21.5);
        assert!((mean(&all).lpips.unwrap() - 0.3).abs() < 1e-12);
        assert_eq!(mean(&[score(20.0, Some(0.2)), score(23.0, None)]).lpips, None);
    }
}
