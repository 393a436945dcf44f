//! What is kept of groups of series, as bytes and back, so that a start goes on with the models that
//! there were and reads no history to make them anew.
//!
//! Models are large and change with every point, so they are not put all at once when a checkpoint
//! begins: what is to be put shares them with the groups, and a model that learns meanwhile is copied
//! first.
//!
//! Series are named by their places, as everywhere in a checkpoint. Where each stands in its history
//! is put as the instant up to which it has passed all samples: the place is found from that.

use std::collections::VecDeque;

use crate::eval::live::LiveState;
use crate::eval::live::joint::{CallKey, Dim, Group, Joined, KeptCall};
use crate::functions::forest::DIMS_MAX;
use crate::functions::forest::model::Model;
use crate::history::WalkCursor;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Labels, TimestampMs};

/// So many bytes are put at once, and the group that goes beyond: a millisecond or two.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Groups as they were when a checkpoint began.
#[derive(Debug, Default)]
pub struct JointsToSave {
    groups: VecDeque<(CallKey, bool, Labels, Joined)>,
}

impl LiveState {
    /// Returns what is to be put of groups.
    pub fn joints_to_save(&self) -> JointsToSave {
        let mut groups = VecDeque::new();
        for call in &self.joints.calls {
            for group in &call.groups {
                if let Some(joined) = &group.joined {
                    let key = call.key.clone();
                    let labels = group.labels.clone();
                    groups.push_back((key, call.is_asked_for, labels, joined.clone()));
                }
            }
        }
        JointsToSave { groups }
    }

    /// Takes what [`JointsToSave::put_some`] has put; returns how many groups that were.
    pub fn load_joints(&mut self, read: &mut ByteReader<'_>) -> Read<usize> {
        let mut n_groups = 0;
        while !read.is_done() {
            let key = CallKey::load(read)?;
            let is_asked_for = read.flag()?;
            let Some(kept) = self.joints.find(key) else {
                return Err(read.malformed("options of a model"));
            };
            kept.is_asked_for = is_asked_for;
            let labels = read.labels()?;
            let joined = Joined::load(kept, read)?;
            kept.groups.push(Group::loaded(labels, joined));
            n_groups += 1;
        }
        Ok(n_groups)
    }
}

impl JointsToSave {
    /// Returns how many groups are still to be put.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Tells whether all have been put.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Puts some of them, and lets go of them.
    pub fn put_some(&mut self, out: &mut ByteWriter) {
        let begin = out.len();
        while out.len() - begin < BYTES_AT_ONCE
            && let Some((key, is_asked_for, labels, joined)) = self.groups.pop_front()
        {
            key.save(out);
            out.flag(is_asked_for);
            out.labels(&labels);
            joined.save(out);
        }
    }
}

impl CallKey {
    fn save(&self, out: &mut ByteWriter) {
        let CallKey {
            matchers,
            head,
            tail,
            dim,
            options,
        } = self;
        out.text(matchers);
        out.span(*head);
        out.span(*tail);
        out.text(dim);
        out.text(options);
    }

    fn load(read: &mut ByteReader<'_>) -> Read<CallKey> {
        let key = CallKey {
            matchers: read.string()?,
            head: read.span()?,
            tail: read.span()?,
            dim: read.string()?,
            options: read.string()?,
        };
        match key.head.0.checked_sub(key.tail.0) {
            Some(range) if range > 0 => Ok(key),
            _ => Err(read.malformed("a window")),
        }
    }
}

impl Joined {
    fn save(&self, out: &mut ByteWriter) {
        let Joined {
            dims,
            next,
            n_agreed,
            target,
            models,
            point,
            last,
        } = self;
        out.list(dims.iter(), |out, dim| dim.save(out));
        out.count(*next);
        out.count(*n_agreed);
        out.instant(*target);
        point.iter().for_each(|value| out.float(*value));
        out.option(*last, ByteWriter::instant);
        out.list(models.iter(), |out, (begun, model)| {
            out.instant(*begun);
            model.save(out);
        });
    }

    /// Takes a group of a call.
    fn load(of: &KeptCall, read: &mut ByteReader<'_>) -> Read<Joined> {
        let dims: Vec<Dim> = read.list(4, Dim::load)?;
        let (next, n_agreed) = (read.place()?, read.place()?);
        if dims.len() > DIMS_MAX || next >= dims.len() || n_agreed >= dims.len() {
            return Err(read.malformed("series of a group"));
        }
        let target = read.instant()?;
        let point: Read<Vec<f64>> = dims.iter().map(|_| read.float()).collect();
        let (point, last) = (point?, read.option(ByteReader::instant)?);
        let models: Vec<(TimestampMs, Model)> = read.list(2, |read| {
            let begun = read.instant()?;
            let began = (of.boundaries, begun);
            Ok((begun, Model::load(&of.settings, dims.len(), began, read)?))
        })?;
        if !models.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(read.malformed("models in order"));
        }
        Ok(Joined {
            dims,
            next,
            n_agreed,
            target,
            models,
            point,
            last,
        })
    }
}

impl Dim {
    fn save(&self, out: &mut ByteWriter) {
        let Dim {
            place,
            insertions,
            cursor,
            ahead,
        } = self;
        out.number((*place).into());
        out.number((*insertions).into());
        out.instant(cursor.passed());
        out.option(*ahead, |out, (at, value)| {
            out.instant(at);
            out.float(value);
        });
    }

    fn load(read: &mut ByteReader<'_>) -> Read<Dim> {
        Ok(Dim {
            place: read.small()?,
            insertions: read.small()?,
            cursor: WalkCursor::unplaced(read.instant()?),
            ahead: read.option(|read| Ok((read.instant()?, read.float()?)))?,
        })
    }
}
