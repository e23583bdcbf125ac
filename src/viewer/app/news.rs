//! What was made in the background, fetched and put where it belongs.

use super::App;
use super::follow::order;
use super::stage::Stage;
use crate::present::Made;
use crate::proxy::depth::{DepthMap, merge};
use crate::proxy::loader::Loaded;
use crate::source::grid_size;
use crate::work::parts::{Canvas, Level};
use crate::work::{News, Purpose};
use std::time::Instant;

/// Source views with which the network's depth of another is compared.
const COMPARED: usize = 5;

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
                    let given_up = stage.proxy.put_photo(&stage.gpu, view, camera, size, &rgba);
                    if !given_up.is_empty() {
                        self.loader.forget(Some(&given_up));
                        for view in given_up {
                            self.maps.remove(&view);
                            self.refined.remove(&view);
                        }
                    }
                }
                Loaded::Depth(view, map) => {
                    // The network's is better.
                    if !self.refined.contains(&view) {
                        stage.proxy.put_depth(&stage.gpu, view, &map);
                        self.maps.insert(view, map);
                    }
                }
                Loaded::Failed(_, problem) => self.message = Some((problem, Instant::now())),
            }
        }
        any
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
                News::Made { purpose: Purpose::Look(number), level, patch, seconds } if self.asked == Some(number) => {
                    self.stats.made(Instant::now(), &patch, seconds);
                    if let Some(Stage { made: Some(made), gpu, .. }) = &mut self.stage {
                        made.put(gpu, level, &patch);
                        let reached = made.level();
                        let seconds = self.asked_at.elapsed().as_secs_f64();
                        for (level, at) in [Level::Coarse, Level::Full].iter().zip(&mut self.level_seconds) {
                            if reached >= *level {
                                at.get_or_insert(seconds);
                            }
                        }
                    }
                }
                News::Finished(Purpose::Look(number)) if self.asked == Some(number) => {
                    if let Some(stage) = &mut self.stage {
                        stage.held = None;
                    }
                    self.save_screenshots();
                }
                News::Begun(Purpose::Depth(view), opened) => {
                    let size = grid_size(self.scene.size(), opened.cell);
                    self.refining.insert(view, (opened.cell, Canvas::new(size)));
                }
                News::Made { purpose: Purpose::Depth(view), patch, .. } => {
                    if let Some((_, canvas)) = self.refining.get_mut(&view) {
                        canvas.put(&patch);
                    }
                }
                News::Finished(Purpose::Depth(view)) => self.refine(view),
                News::Made { purpose: Purpose::Path(frame), level: Level::Full, patch, .. } => {
                    self.path.iter_mut().for_each(|path| path.put(frame, &patch));
                }
                News::Finished(Purpose::Path(frame)) => {
                    let finished = self.path.as_mut().map(|path| path.finish(frame).map(|()| path.is_done()));
                    match finished {
                        Some(Ok(true)) => {
                            let count = self.path.take().map_or(0, |path| path.frames.len());
                            self.say(format!("the path is rendered: {count} frames"));
                        }
                        Some(Err(problem)) => {
                            self.worker.stop_path();
                            self.path = None;
                            self.fail(problem.to_string());
                        }
                        _ => {}
                    }
                }
                News::Failed(purpose, problem) => {
                    if let Purpose::Depth(view) = purpose {
                        self.refining.remove(&view);
                    }
                    self.fail(problem);
                }
                _ => {}
            }
        }
        any
    }

    /// The network has told a source view's depth.
    fn refine(&mut self, view: usize) {
        let Some((cell, canvas)) = self.refining.remove(&view) else { return };
        let Some(map) = DepthMap::of_grid(&self.scene.views[view].camera, cell, &canvas) else { return };
        let Some(swept) = self.maps.get(&view) else { return };
        let near = order(&self.scene, &self.scene.views[view].camera).into_iter().filter(|other| *other != view);
        let others: Vec<&DepthMap> = near.filter_map(|other| self.maps.get(&other)).take(COMPARED).collect();
        let map = merge(map, swept, &others);
        if let Some(stage) = &mut self.stage {
            stage.proxy.put_depth(&stage.gpu, view, &map);
            self.refined.insert(view);
            self.maps.insert(view, map);
        }
    }
}
