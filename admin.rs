// SPDX-License-Identifier: GPL-2.0

//! Admin commands. The type of a command names its reply; commands are executed one at a time, with
//! a bounded wait.

// What the controller refuses.
mod refusal;
// Several commands at a time.
mod together;

use crate::{
    data::{
        HasQueueData,
        RequestData, //
    },
    nvme::{
        identify,
        opcode_name,
        AdminCommand,
        GetLogPage,
        Identify,
        IdentifyData,
        LogPage,
        QueueId,
        Sqe,
        Status, //
    },
    policy::{
        timing,
        LogBudget,
        QueueCounts,
        Refusals,
        Wanted, //
    },
    queue::Queue,
    sys::{
        base::RateLimit,
        block::{
            BlkStatus,
            Buffer,
            Completed,
            Dispatch,
            DriverQueue,
            Ended,
            Operations,
            QueueMap,
            Request,
            Started,
            Submissions,
            TagSet,
            TimedOut,
            TimeoutVerdict,
            Types, //
        },
        dma::PagePool,
        pci::node, //
    },
};
use core::{
    marker::PhantomData,
    sync::atomic::{
        AtomicBool,
        AtomicI64,
        AtomicU32,
        Ordering::Relaxed, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};
use zerocopy::{
    Immutable,
    KnownLayout, //
};

/// Entries of the admin queue: NVMe allows 2 to 4096, Linux's driver takes 32.
pub(crate) const ENTRIES: u16 = 32;
/// Bytes of the largest admin transfer: an Identify or log page.
pub(crate) const MAX_TRANSFER: u32 = 1 << 20;

/// The most lines of commands that fail in a minute.
const LINES: u32 = 32;

/// The operations of the admin queue.
pub(crate) struct Admin;

/// The private data of an admin request. It has the command, complete but for the data pointer.
#[repr(C)]
#[derive(Zeroable)]
pub(crate) struct AdminRequestData {
    queue: RequestData,
    /// Dwords 0 and 1 of the completion.
    result: u64,
    command: Sqe,
}

impl AdminRequestData {
    /// Dword 0 of the completion.
    pub(crate) fn result(&self) -> u32 {
        // CAST: dword 0.
        self.result as u32
    }

    /// The status of the completion; Host Aborted Command if the controller has not completed the
    /// command.
    pub(crate) fn status(&self) -> Status {
        self.queue.status()
    }
}

impl HasQueueData for AdminRequestData {
    const KEEPS_COMPLETION: bool = true;

    fn queue_part(&mut self) -> &mut RequestData {
        &mut self.queue
    }

    fn keep(&mut self, result: u64) {
        self.result = result;
    }
}

impl Types for Admin {
    type RequestData = AdminRequestData;
    type Queue = Queue<Admin>;
    type QueueData = ();
}

impl Operations for Admin {
    fn queue_rq(
        queue: &Queue<Admin>,
        dispatch: Dispatch<'_>,
        mut rq: Request<Self>,
        last: bool,
    ) -> Result<(), (Request<Self>, BlkStatus)> {
        let data = match queue.data().map(&mut rq, dispatch) {
            Ok(data) => data,
            Err(status) => return Err((rq, status)),
        };
        let mut command = rq.private().command;
        // The data pointer of a command without data stays: Create I/O Queue points to a ring.
        if rq.segments() != 0 {
            command = command.with_data(data);
        }
        queue.submit(dispatch, rq.start(), command, last);
        Ok(())
    }

    fn queue_rqs(
        _queue: &Queue<Admin>,
        _dispatch: Dispatch<'_>,
        _requests: &mut Submissions<'_, Self>,
    ) {
        // Admin commands come one at a time.
    }

    fn turned_away(_queue: &Queue<Admin>, _dispatch: Dispatch<'_>, rq: Started<Self>) {
        rq.end(BlkStatus::IOERR);
    }

    fn commit_rqs(queue: &Queue<Admin>) {
        queue.commit();
    }

    fn complete(queue: &Queue<Admin>, mut rq: Started<Self>) {
        queue.data().unmap(&mut rq);
        let status = if rq.private().queue.status().is_success() {
            BlkStatus::OK
        } else {
            BlkStatus::IOERR
        };
        rq.end(status);
    }

    fn poll(queue: &Queue<Admin>, done: &mut Completed<Self>) -> bool {
        queue.poll(done)
    }

    fn timeout(queue: &Queue<Admin>, rq: &TimedOut<'_, Self>) -> TimeoutVerdict {
        queue.timeout(rq)
    }
}

/// The admin queue, for the code that executes admin commands.
#[pin_data]
pub(crate) struct AdminQueue {
    requests: DriverQueue<Admin>,
    queue: Arc<Queue<Admin>>,
    /// The timeout of a command outside of a bring-up, in milliseconds.
    usual_ms: AtomicU32,
    /// The time from which [`Self::deadline_ms`] counts.
    born: Instant<Monotonic>,
    /// The deadline of all commands of a bring-up, in milliseconds; 0 outside of one.
    deadline_ms: AtomicI64,
    /// Whether a failed command leaves no line in the log.
    is_silent: AtomicBool,
    /// LOCK: what the controller does not support; inside: nothing. A reset takes it.
    #[pin]
    refusals: Mutex<Refusals>,
    /// Bounds the lines of commands that fail.
    #[pin]
    lines: RateLimit,
}

/// The timeout of a command that was posted.
#[derive(Clone, Copy)]
pub(crate) enum CommandTimeout {
    /// The timeout of all admin commands.
    Admin,
    /// No timeout: the command ends with an event (Asynchronous Event Request).
    Never,
}

impl AdminQueue {
    /// Puts blk-mq in front of `queue`. The timeout of a command is `timeout_ms` milliseconds. Data
    /// begins at a multiple of `alignment` bytes.
    pub(crate) fn new(
        queue: Arc<Queue<Admin>>,
        timeout_ms: u32,
        alignment: u32,
    ) -> Result<Arc<Self>> {
        let mut queues = KVec::with_capacity(1, GFP_KERNEL)?;
        queues.push(queue.clone(), GFP_KERNEL)?;
        let set = TagSet::new(
            queues,
            ENTRIES - 1,
            node(queue.device()),
            timeout_ms,
            QueueMap {
                counts: QueueCounts::plan(1, 1, Wanted { write: 0, poll: 0 }),
                cpus: None,
            },
        )?;
        let requests = DriverQueue::new(
            set,
            Arc::new((), GFP_KERNEL)?,
            (crate::nvme::PAGE_SIZE, alignment),
            MAX_TRANSFER,
        )?;
        Arc::pin_init(
            pin_init!(Self {
                requests,
                queue,
                usual_ms: AtomicU32::new(timeout_ms),
                born: Instant::now(),
                deadline_ms: AtomicI64::new(0),
                is_silent: AtomicBool::new(false),
                refusals <- new_mutex!(Refusals::NONE),
                lines <- RateLimit::of(LogBudget::of_a_minute(LINES)),
            }),
            GFP_KERNEL,
        )
    }

    /// The pages of all lists of the controller.
    pub(crate) fn pages(&self) -> &Arc<PagePool> {
        self.queue.data().lists().pool()
    }

    /// Begins the admin commands of a bring-up: `deadline` is that of all of them together. `logged`:
    /// the log has a line for each that fails.
    pub(crate) fn begin_bring_up(&self, deadline: Instant<Monotonic>, logged: bool) {
        let ms = (deadline - self.born).as_millis().max(1);
        self.deadline_ms.store(ms, Relaxed);
        self.is_silent.store(!logged, Relaxed);
    }

    /// The bring-up is over.
    pub(crate) fn end_bring_up(&self) {
        self.deadline_ms.store(0, Relaxed);
        self.is_silent.store(false, Relaxed);
    }

    /// Whether the bring-up that is under way leaves no line in the log.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.load(Relaxed)
    }

    /// The timeout of a command outside of a bring-up, in milliseconds.
    pub(crate) fn timeout_ms(&self) -> u32 {
        self.usual_ms.load(Relaxed)
    }

    /// Sets the timeout of a command outside of a bring-up, in milliseconds.
    pub(crate) fn set_timeout_ms(&self, ms: u32) {
        self.usual_ms.store(ms, Relaxed);
    }

    /// Milliseconds until the deadline of a bring-up; `None` outside of one.
    fn left_ms(&self) -> Option<u32> {
        match self.deadline_ms.load(Relaxed) {
            0 => None,
            deadline => {
                let left = deadline.saturating_sub(self.born.elapsed().as_millis());
                Some(left.max(0).try_into().unwrap_or(u32::MAX))
            }
        }
    }

    /// The timeout of a command that is executed now, in milliseconds.
    pub(crate) fn timeout(&self) -> u32 {
        self.left_ms()
            .map_or_else(|| self.timeout_ms(), |left| left.max(1))
    }

    /// Milliseconds until the next look at a command that a thread waits for.
    fn until_look(&self) -> u32 {
        match self.left_ms() {
            Some(left) => left.clamp(1, timing::BRING_UP_LOOK_MS),
            None => timing::WAIT_LOOK_MS,
        }
    }

    /// Looks at a command that a thread waits for.
    fn look(&self) {
        match self.left_ms() {
            // The block layer's timer would see it a second later.
            Some(0) => self.queue.overdue(),
            _ => self.queue.check(),
        }
    }

    /// Submits a command without data and does not wait. `ended` is called when the command ends.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if no tag is free.
    pub(crate) fn post<C: AdminCommand, D: Ended<Admin> + 'static>(
        &self,
        command: &C,
        timeout: CommandTimeout,
        ended: Arc<D>,
    ) -> Result {
        let timeout = match timeout {
            CommandTimeout::Admin => Some(self.timeout()),
            CommandTimeout::Never => None,
        };
        let entry = command.sqe();
        let fill = |data: &mut AdminRequestData| {
            data.queue.begin();
            data.command = entry;
        };
        self.requests.post(timeout, fill, ended)
    }

    /// Executes a command without data.
    ///
    /// # Errors
    ///
    /// See [`Self::identify`].
    pub(crate) fn execute<C: AdminCommand>(&self, command: &C) -> Result<C::Reply> {
        self.run(command, Buffer::None)
    }

    /// Executes a command without data; the status with which the controller refuses it is the
    /// caller's to judge, and has a line in the log.
    ///
    /// # Errors
    ///
    /// `EIO` if the controller did not complete the command; `ENOMEM`.
    pub(crate) fn attempt<C: AdminCommand>(&self, command: &C) -> Result<Result<C::Reply, Status>> {
        self.submit(command, Buffer::None, |data, result| {
            let status = data.status();
            match self.reply(command, data, result) {
                Err(_) if status.is_from_controller() => Ok(Err(status)),
                result => result.map(Ok),
            }
        })
    }

    /// Executes a command without data that the controller may refuse; a refusal has a line in the
    /// log.
    pub(crate) fn offer<C: AdminCommand>(&self, command: &C) {
        let _ = self.execute(command);
    }

    /// Executes a command with `data` for the controller that the controller may refuse; a refusal
    /// has a line in the log.
    pub(crate) fn offer_data<C: AdminCommand>(&self, command: &C, data: &[u8]) {
        let _ = self.send(command, data);
    }

    /// Reads the data structure `D`.
    ///
    /// # Errors
    ///
    /// `EIO` if the controller refused the command, with a line in the log that has command and
    /// status, or if it did not complete the command; `ENOMEM`.
    pub(crate) fn identify<D: IdentifyData>(&self, command: &Identify<D>) -> Result<Page<D>> {
        self.read(command, identify::page(0)?)
    }

    /// Reads the log page `P`.
    ///
    /// # Errors
    ///
    /// See [`Self::identify`].
    pub(crate) fn log_page<P: LogPage + ?Sized>(&self, command: &GetLogPage<P>) -> Result<Page<P>> {
        self.read(command, KVec::from_elem(0, command.len(), GFP_KERNEL)?)
    }

    /// Executes a command that reads a `D` from the controller into `bytes`.
    fn read<D: ?Sized>(&self, command: &impl AdminCommand, mut bytes: KVec<u8>) -> Result<Page<D>> {
        self.run(command, Buffer::Read(&mut bytes))?;
        Ok(Page {
            bytes,
            _data: PhantomData,
        })
    }

    /// Executes a command with `data` for the controller.
    ///
    /// # Errors
    ///
    /// See [`Self::identify`].
    pub(crate) fn send<C: AdminCommand>(&self, command: &C, data: &[u8]) -> Result<C::Reply> {
        let mut copy = KVec::with_capacity(data.len(), GFP_KERNEL)?;
        copy.extend_from_slice(data, GFP_KERNEL)?;
        self.run(command, Buffer::Write(&copy))
    }

    /// Executes a command with the data in `buffer`; logs a failure. A command for an optional function
    /// that the controller has refused is not sent again.
    fn run<C: AdminCommand>(&self, command: &C, buffer: Buffer<'_>) -> Result<C::Reply> {
        if self.refusal(command).is_some() {
            return Err(EIO);
        }
        self.submit(command, buffer, |data, result| {
            self.reply(command, data, result)
        })
    }

    /// What `command`, which ended with `result`, returned; logs a failure.
    fn reply<C: AdminCommand>(
        &self,
        command: &C,
        data: &AdminRequestData,
        result: Result,
    ) -> Result<C::Reply> {
        if result.is_err() && !self.is_silent() {
            let name = opcode_name(QueueId::ADMIN, C::OPCODE);
            self.note_failure(name, C::DETAIL, command.sqe().function(), data.status());
        }
        result.map(|()| command.reply(data.result()))
    }

    /// Executes a command with the data in `buffer`; `read` gets its end.
    fn submit<C: AdminCommand, R>(
        &self,
        command: &C,
        buffer: Buffer<'_>,
        read: impl FnOnce(&AdminRequestData, Result) -> Result<R>,
    ) -> Result<R> {
        let entry = command.sqe();
        self.requests.execute(
            buffer,
            Some(self.timeout()),
            |data| {
                data.queue.begin();
                data.command = entry;
            },
            || self.until_look(),
            || self.look(),
            read,
        )
    }
}

/// A data structure that the controller returned.
pub(crate) struct Page<D: ?Sized> {
    bytes: KVec<u8>,
    _data: PhantomData<D>,
}

impl<D: FromBytes + Immutable + KnownLayout + ?Sized> Page<D> {
    /// The structure. Its contents are as untrusted as the controller.
    pub(crate) fn get(&self) -> Result<&D> {
        D::ref_from_bytes(&self.bytes).map_err(|_| EIO)
    }
}
