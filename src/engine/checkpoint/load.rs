//! An engine from the parts of a checkpoint. Any bytes give an engine or a [`LoadError`].

use std::sync::Arc;

use crate::alert::ActiveAlerts;
use crate::context::ContextState;
use crate::engine::budget::Budget;
use crate::engine::checkpoint::series::{SavedState, load_channels, load_ranks, readers_of};
use crate::engine::checkpoint::slice::{self, LoadedOne, LoadedSlice, SliceLoader};
use crate::engine::checkpoint::{
    CONTEXT, FORMAT, FORMAT_OF_CHANNELS, FORMAT_OF_CONTEXTS, FORMAT_OF_FIRST, FORMAT_OF_JOINTS,
    FORMAT_OF_RESETS, FORMAT_OF_WINDOWS, JOINTS, RULES, SERIES, STATE,
};
use crate::engine::cohort::Cohorts;
use crate::engine::partitions::Partitions;
use crate::engine::samples::{ASLEEP, as_place};
use crate::engine::{Engine, GroupState, RuleHealth, RuleState, Stats, compile};
use crate::history::ColdStore;
use crate::model::bytes::{ByteReader, Malformed, Read};
use crate::model::{Generation, RuleSource, SeriesHandle, Stamp};

/// Handles may be so much apart for each series, and so much in all: each takes four bytes.
const HANDLES_PER_SERIES: u64 = 256;
const HANDLES_APART: u64 = 1 << 26;

/// Why a checkpoint cannot be gone on from; the one before it, or the log alone, may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Its bytes are not what was written.
    #[error("the checkpoint is damaged: in its {part} {malformed}")]
    Damaged {
        /// Which part of it.
        part: &'static str,
        /// What is wrong.
        malformed: Malformed,
    },
    /// A part is missing, or there twice.
    #[error("the checkpoint is not whole: {0}")]
    NotWhole(&'static str),
    /// It was written by a newer version of this program.
    #[error(
        "the checkpoint has format {found}, and this burnwatch reads up to {FORMAT}: \
         start the newer burnwatch that wrote it"
    )]
    Newer {
        /// Its format.
        found: u64,
    },
    /// Its rules are none to this version of the program.
    #[error("the checkpoint's rules do not compile: {0}")]
    Rules(String),
}

/// Returns the rules of a checkpoint from its first part.
pub fn rules_of(part: &[u8]) -> Result<RuleSource, LoadError> {
    let mut read = ByteReader::new(part);
    match read.byte() {
        Ok(RULES) => Ok(begin_rules(&mut read)?.1),
        _ => Err(LoadError::NotWhole("it does not begin with its rules")),
    }
}

/// Takes the format and the rules.
fn begin_rules(read: &mut ByteReader<'_>) -> Result<(u64, RuleSource), LoadError> {
    let damaged = |malformed| LoadError::Damaged {
        part: "rules",
        malformed,
    };
    let found = read.number().map_err(damaged)?;
    if found > FORMAT {
        return Err(LoadError::Newer { found });
    }
    Ok((found, RuleSource::load(read).map_err(damaged)?))
}

/// Takes the parts of a checkpoint, in the order in which they were made, and gives the engine.
pub struct Loading {
    engine: Engine,
    state: Option<Vec<u8>>,
    /// Parts with models.
    joints: Vec<Vec<u8>>,
    has_rules: bool,
    has_context: bool,
    format: u64,
    /// Whether which series moves which rules is to be found anew: another version of this
    /// program took rules apart otherwise.
    routes_anew: bool,
    first_handle: u64,
    last_handle: u64,
}

impl Loading {
    /// Begins with nothing; what is cold in the checkpoint lies in `cold`.
    pub fn new(cold: Option<Arc<dyn ColdStore>>) -> Self {
        let mut engine = Engine::new();
        if let Some(cold) = cold {
            engine.set_cold_store(cold);
        }
        Loading {
            engine,
            state: None,
            joints: Vec::new(),
            has_rules: false,
            has_context: false,
            format: FORMAT,
            routes_anew: false,
            first_handle: u64::MAX,
            last_handle: 0,
        }
    }

    /// Takes the next part.
    pub fn part(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let damaged = |part| move |malformed| LoadError::Damaged { part, malformed };
        let mut read = ByteReader::new(bytes);
        match read.byte().map_err(damaged("parts"))? {
            RULES if !self.has_rules => self.rules(&mut read),
            _ if !self.has_rules => Err(LoadError::NotWhole("it does not begin with its rules")),
            RULES => Err(LoadError::NotWhole("it has rules twice")),
            STATE if self.state.is_none() => {
                self.state = Some(bytes[1..].to_vec());
                Ok(())
            }
            STATE => Err(LoadError::NotWhole("it has a state twice")),
            CONTEXT if self.has_context => Err(LoadError::NotWhole("it has contexts twice")),
            CONTEXT => {
                self.has_context = true;
                let context = ContextState::load(&mut read).map_err(damaged("contexts"))?;
                self.engine.context = context;
                read.end().map_err(damaged("contexts"))
            }
            JOINTS => {
                self.joints.push(bytes[1..].to_vec());
                Ok(())
            }
            SERIES => {
                let mut loader = self.loader();
                let slice = loader.load(bytes)?;
                self.learn(loader);
                self.put(slice)
            }
            _ => Err(damaged("parts")(read.malformed("a part"))),
        }
    }

    /// Tells whether a part is a slice of series, which a [`SliceLoader`] can take apart.
    pub fn is_slice(part: &[u8]) -> bool {
        part.first() == Some(&SERIES)
    }

    /// Returns what takes slices apart, once the rules have been taken. There may be several.
    pub fn loader(&self) -> SliceLoader {
        SliceLoader {
            series: self.engine.store.loader(),
            has_windows: self.format >= FORMAT_OF_WINDOWS,
            has_first: self.format >= FORMAT_OF_FIRST,
        }
    }

    /// Takes a slice that was taken apart.
    pub fn put(&mut self, slice: LoadedSlice) -> Result<(), LoadError> {
        for one in slice.0 {
            let at = one.at;
            self.put_one(one)
                .map_err(|wanted| slice::damaged(Malformed { wanted, at }))?;
        }
        Ok(())
    }

    /// Takes what a loader has learned from the slices that it took apart.
    pub fn learn(&mut self, loader: SliceLoader) {
        self.engine.store.learn_bases(loader.series);
    }

    fn put_one(&mut self, one: LoadedOne) -> Result<(), &'static str> {
        let place = one.series.place();
        if !self.engine.store.put_loaded(one.series) {
            return Err("the place of a series");
        }
        if let Some(windows) = one.windows {
            self.engine.live.get_mut().put_windows(place, windows);
        }
        let Some((handle, saved)) = one.handle else {
            return Ok(());
        };
        self.engine.by_place.set(place, handle);
        saved.map_or(Ok(()), |saved| self.handle(handle, as_place(place), &saved))
    }

    /// Gives the engine when all parts have been taken.
    pub fn finish(mut self) -> Result<Engine, LoadError> {
        let damaged = |part| move |malformed| LoadError::Damaged { part, malformed };
        let state = self.state.take();
        let state = state.ok_or(LoadError::NotWhole("its state is missing"))?;
        if !self.has_context && self.format >= FORMAT_OF_CONTEXTS {
            return Err(LoadError::NotWhole("its contexts are missing"));
        }
        let mut read = ByteReader::new(&state);
        let store = &mut self.engine.store;
        store.end_load(&read).map_err(damaged("series"))?;
        self.state(&mut read).map_err(damaged("state"))?;
        let n_joints = match self.format >= FORMAT_OF_JOINTS {
            true => read.place().map_err(damaged("state"))?,
            false => 0,
        };
        read.end().map_err(damaged("state"))?;
        let mut n_loaded = 0;
        for part in std::mem::take(&mut self.joints) {
            let live = self.engine.live.get_mut();
            let loaded = live.load_joints(&mut ByteReader::new(&part));
            n_loaded += loaded.map_err(damaged("models"))?;
        }
        if n_loaded != n_joints {
            return Err(LoadError::NotWhole("some of its models are missing"));
        }
        let mut engine = self.engine;
        engine.find_warm_instants();
        engine.store.take_changes();
        if self.routes_anew {
            engine.route_series_anew();
        }
        Ok(engine)
    }

    fn rules(&mut self, read: &mut ByteReader<'_>) -> Result<(), LoadError> {
        let damaged = |malformed| LoadError::Damaged {
            part: "rules",
            malformed,
        };
        let (format, source) = begin_rules(read)?;
        self.format = format;
        let source = Arc::new(source);
        let rules = compile(&source).map_err(|errors| {
            let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
            LoadError::Rules(reasons.join("; "))
        })?;
        self.engine.install(source, rules);
        self.engine.adopt_windows();
        self.has_rules = true;
        self.routing(read).map_err(damaged)
    }

    fn routing(&mut self, read: &mut ByteReader<'_>) -> Read<()> {
        let engine = &mut self.engine;
        engine.generation = Generation(read.number()?);
        let partitions = Partitions::load(&engine.rules, read)?;
        self.routes_anew = partitions.is_none();
        engine.partitions = partitions.unwrap_or_else(|| Partitions::of(&engine.rules));
        let mut ranks = load_ranks(read)?;
        engine.cohorts = Cohorts::load(read)?;
        engine.store.load(read)?;
        let has_same_channels = match self.format >= FORMAT_OF_CHANNELS {
            true => load_channels(read, &mut ranks, &engine.partitions)?,
            false => engine.partitions.gains.texts().next().is_none(),
        };
        let readers = readers_of(ranks, &engine.rules, &engine.partitions);
        self.routes_anew |= readers.is_none() || !has_same_channels;
        engine.readers = readers.unwrap_or_default();
        read.end()
    }

    /// Takes what is known of a handle.
    fn handle(
        &mut self,
        handle: SeriesHandle,
        place: u32,
        saved: &SavedState,
    ) -> Result<(), &'static str> {
        let engine = &mut self.engine;
        let (state, is_known) = engine.loaded_state(place, saved);
        self.routes_anew |= !is_known;
        if !engine.cohorts.has(state.target) {
            return Err("a target");
        }
        self.first_handle = self.first_handle.min(handle.0.into());
        self.last_handle = self.last_handle.max(handle.0.into());
        let n_series = engine.handles.len() as u64 + 1;
        let apart = self.last_handle - self.first_handle;
        if apart > HANDLES_APART.max(n_series.saturating_mul(HANDLES_PER_SERIES)) {
            return Err("a handle near the others");
        }
        match engine.handles.insert(handle, state) {
            None => Ok(()),
            Some(_) => Err("a handle that was not there"),
        }
    }

    fn state(&mut self, read: &mut ByteReader<'_>) -> Read<()> {
        for _ in 0..read.count(3)? {
            let handle = SeriesHandle(read.small()?);
            let labels = read.labels()?;
            self.engine.asleep.insert(handle, labels);
            if let Some(saved) = read.option(SavedState::load)? {
                let taken = self.handle(handle, ASLEEP, &saved);
                taken.map_err(|wanted| read.malformed(wanted))?;
            }
        }
        let engine = &mut self.engine;
        let (n_rules, n_groups) = (engine.rules.rules.len(), engine.rules.groups.len());
        let rule_states: Vec<RuleState> = read.list(4, |read| engine.load_rule_state(read))?;
        let group_states: Vec<GroupState> = read.list(8, GroupState::load)?;
        if rule_states.len() != n_rules || group_states.len() != n_groups {
            return Err(read.malformed("as many states as rules and groups"));
        }
        (engine.rule_states, engine.group_states) = (rule_states, group_states);
        let below = |read: &mut ByteReader<'_>, max: usize| match read.place()? {
            number if number < max => Ok(number),
            _ => Err(read.malformed("a rule or a group")),
        };
        engine.stamp = read.option(|read| {
            Ok(Stamp {
                sequence: read.number()?,
                wall: read.instant()?,
                clock: read.option(ByteReader::instant)?,
            })
        })?;
        engine.frontier = read.option(ByteReader::instant)?;
        engine.waiting = read.list(2, |read| Ok((read.instant()?, load_handles(read)?)))?;
        engine.moved_late = load_handles(read)?;
        engine.ticks = read.list(2, |read| Ok((read.instant()?, below(read, n_groups)?)))?;
        engine.timers = read.list(3, |read| {
            let (at, rule) = (read.instant()?, below(read, n_rules)?);
            Ok((at, rule, read.option(ByteReader::word)?))
        })?;
        engine.endings = read.list(2, |read| Ok((read.instant()?, read.labels()?)))?;
        engine.kept_since = read.list(2, |read| Ok((read.string()?, read.instant()?)))?;
        engine.kept_past = read.list(2, |read| Ok((read.place()?, read.span()?)))?;
        engine.unticked = read.list(1, |read| below(read, n_groups))?;
        engine.settled = read.option(ByteReader::instant)?;
        engine.stats = Stats::load(read)?;
        if self.format >= FORMAT_OF_RESETS {
            engine.load_learning(read)?;
        }
        engine.live.get_mut().subqueries.load(read)
    }
}

impl Engine {
    fn load_rule_state(&self, read: &mut ByteReader<'_>) -> Read<RuleState> {
        let alerts = ActiveAlerts::load(read)?;
        let written = read.list(2, |read| {
            let place = read.place()?;
            let labels = match read.option(ByteReader::labels)? {
                Some(labels) => labels,
                None => match self.store.get(place) {
                    Some((labels, _)) => labels.clone(),
                    None => return Err(read.malformed("the place of a series")),
                },
            };
            Ok((labels, place))
        })?;
        let health = match read.byte()? {
            0 => RuleHealth::Unknown,
            1 => RuleHealth::Ok,
            2 => RuleHealth::Err(read.string()?),
            _ => return Err(read.malformed("a rule's health")),
        };
        Ok(RuleState {
            alerts,
            written,
            health,
            evaluation_seconds: read.float()?,
            last_evaluation: read.option(ByteReader::instant)?,
            hold_raised: read.flag()?,
            knows_parts: read.flag()?,
        })
    }

    /// Loads an engine from the parts of a checkpoint.
    pub fn load<'a>(
        parts: impl IntoIterator<Item = &'a [u8]>,
        cold: Option<Arc<dyn ColdStore>>,
    ) -> Result<Engine, LoadError> {
        let mut loading = Loading::new(cold);
        parts.into_iter().try_for_each(|part| loading.part(part))?;
        loading.finish()
    }
}

impl GroupState {
    fn load(read: &mut ByteReader<'_>) -> Read<GroupState> {
        Ok(GroupState {
            next_tick: read.option(ByteReader::instant)?,
            evaluation_seconds: read.float()?,
            last_evaluation: read.option(ByteReader::instant)?,
            iterations: read.number()?,
            iterations_missed: read.number()?,
            evaluations: read.number()?,
            evaluation_failures: read.number()?,
            last_samples: read.place()?,
            busy_seconds: read.float()?,
            budget: Budget {
                last_work: read.number()?,
                debt: read.number()?,
                spent_on_arrival: read.number()?,
                overruns: read.number()?,
            },
        })
    }
}

impl Stats {
    fn load(read: &mut ByteReader<'_>) -> Read<Stats> {
        Ok(Stats {
            samples: read.number()?,
            samples_late: read.number()?,
            samples_duplicate: read.number()?,
            samples_refused: read.number()?,
            samples_recorded_outside: read.number()?,
            scrapes_late: read.number()?,
            samples_scanned: read.number()?,
            evaluations_spared: read.number()?,
            samples_past: read.number()?,
            pasts_taken: read.number()?,
            pasts_broken: read.number()?,
        })
    }
}

fn load_handles(read: &mut ByteReader<'_>) -> Read<Vec<SeriesHandle>> {
    let mut before = 0_i64;
    read.list(1, |read| {
        before = before.wrapping_add(read.signed()?);
        let handle = u32::try_from(before).map(SeriesHandle);
        handle.map_err(|_| read.malformed("a handle"))
    })
}
