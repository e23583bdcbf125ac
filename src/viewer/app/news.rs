//! What was made in the background, fetched and put where it belongs.

use super::App;
use super::stage::Stage;
use crate::present::Made;
use crate::proxy::loader::Loaded;
use crate::work::parts::{Level, Of};
use crate::work::{News, Purpose};
use scene::Camera;
use scene::fade::Fade;
use std::time::Instant;

impl App {
    /// Photographs and their depth.
    pub(super) fn fetch_photos(&mut self) -> bool {
        if self.is_lost() {
            return false; // They wait for another device.
        }
        let Some(stage) = &mut self.stage else { return false };
        let loaded = self.loader.loaded();
        let any = !loaded.is_empty();
        for item in loaded {
            match item {
                Loaded::Photo { view, size, rgba, thumbnail } => {
                    self.thumbnails.insert(view, thumbnail);
                    let camera = &self.scene.views[view].camera;
                    let given_up = stage.proxy.put_photo(&stage.gpu, (view, camera), size, &rgba, &self.wanted_views);
                    if !given_up.is_empty() {
                        self.loader.forget(Some(&given_up));
                        self.maps.retain(|view, _| !given_up.contains(view));
                    }
                }
                Loaded::Depth(view, map) => {
                    // Its photograph may have been given up meanwhile.
                    if stage.proxy.put_depth(&stage.gpu, view, &map) {
                        self.maps.insert(view, map);
                    }
                }
                Loaded::Failed(_, problem) => self.message = Some((problem, Instant::now())),
            }
        }
        any
    }

    /// What pixels that no photograph sees fade to; none if the first photograph cannot be read, which was said.
    fn fade(&mut self) -> Option<Fade> {
        *self.fade.get_or_insert_with(|| match Fade::of(&self.scene, false) {
            Ok(fade) => Some(fade),
            Err(problem) => {
                self.message = Some((problem.to_string(), Instant::now()));
                None
            }
        })
    }

    fn cameras(&self, views: &[usize]) -> Vec<Camera> {
        views.iter().map(|view| self.scene.views[*view].camera).collect()
    }

    /// What the network made.
    pub(super) fn fetch_news(&mut self) -> bool {
        let all = self.worker.news();
        let any = !all.is_empty();
        for news in all {
            match news {
                News::Begun(Purpose::Look(number), opened) if self.asked == Some(number) => {
                    if let (Some(stage), Some(shot)) = (&mut self.stage, &self.shot) {
                        stage.made = Some(Made::new(&stage.gpu, &shot.camera, &opened));
                    }
                    self.sources = opened.sources;
                }
                News::Made { purpose: Purpose::Look(number), of, patch, seconds } if self.asked == Some(number) => {
                    self.stats.made(Instant::now(), &patch, seconds);
                    if let Some(Stage { made: Some(made), gpu, .. }) = &mut self.stage {
                        made.put(gpu, of, &patch);
                        let reached = made.level();
                        let seconds = self.asked_at.elapsed().as_secs_f64();
                        for (level, at) in [Level::Coarse, Level::Half, Level::Full].iter().zip(&mut self.level_seconds)
                        {
                            if reached >= *level {
                                at.get_or_insert(seconds);
                            }
                        }
                    }
                }
                News::Finished(Purpose::Look(number)) if self.asked == Some(number) => {
                    let (fade, sources) = (self.fade(), self.cameras(&self.sources));
                    if let Some(stage) = &mut self.stage {
                        stage.held = None;
                        if let (Some(made), Some(fade)) = (stage.made.as_mut().filter(|made| made.fades), fade) {
                            made.fade(&stage.gpu, fade, &sources);
                        }
                        stage.made.iter_mut().for_each(|made| made.complete = true);
                    }
                    self.save_screenshots();
                }
                News::Made { purpose: Purpose::Path(frame), of: Of::Picture, patch, .. } => {
                    self.path.iter_mut().for_each(|path| path.put(frame, &patch));
                }
                News::Begun(Purpose::Path(frame), opened) => {
                    let sources = opened.fades.then(|| self.cameras(&opened.sources));
                    self.path.iter_mut().for_each(|path| path.begin(frame, sources.clone()));
                }
                News::Finished(Purpose::Path(frame)) => {
                    let fade = self.fade();
                    let finished = self.path.as_mut().map(|path| path.finish(frame, fade).map(|()| path.is_done()));
                    match finished {
                        Some(Ok(true)) => {
                            let count = self.path.take().map_or(0, |path| path.frames.len());
                            self.say(format!("the path is rendered: {count} frames"));
                        }
                        Some(Err(problem)) => {
                            self.stop_path();
                            self.fail(problem.to_string());
                        }
                        _ => {}
                    }
                }
                News::Failed(purpose, problem) => {
                    match purpose {
                        Purpose::Path(_) => self.stop_path(),
                        Purpose::Look(_) => self.network_failed = Some(problem.clone()),
                    }
                    self.fail(problem);
                }
                _ => {}
            }
        }
        any
    }
}
