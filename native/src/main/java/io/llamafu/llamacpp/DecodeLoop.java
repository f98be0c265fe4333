package io.llamafu.llamacpp;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.support.OpenRequests;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.time.Duration;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * The thread that owns the scheduler and the context. One step is: take commands, admit, fill a batch, decode it, sample
 * it, settle the sequences. Other threads reach it through a queue of commands only.
 */
final class DecodeLoop {
    private static final Logger LOG = LoggerFactory.getLogger(DecodeLoop.class);
    /** The delay with which a deadline or the cancellation of a waiting request is noticed. */
    private static final long SWEEP_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

    private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(2);

    private final EngineOptions options;
    private final LlamaModel model;
    private final LlamaContext context;
    private final OpenRequests openRequests;
    private final Scheduler scheduler;
    private final Thread thread;
    private final BlockingQueue<Runnable> commands = new LinkedBlockingQueue<>();
    /** The requests of all sequences in the scheduler. */
    private final IdentityHashMap<Sequence, PreparedRequest> requests = new IdentityHashMap<>();

    private final EngineMetrics.Memory memory;
    private final int maxSequenceTokens;

    private volatile boolean stopping;
    private long lastSweep;

    private final AtomicLong promptTokens = new AtomicLong();
    private final AtomicLong prefixHits = new AtomicLong();
    private final AtomicLong cachedPromptTokens = new AtomicLong();
    private final AtomicLong generatedTokens = new AtomicLong();
    private final AtomicLong decodeSteps = new AtomicLong();
    private volatile int activeSequences;
    private volatile long usedCells;

    DecodeLoop(
            EngineOptions options,
            LlamaModel model,
            LlamaContext context,
            int maxSequenceTokens,
            OpenRequests openRequests) {
        this.options = options;
        this.model = model;
        this.context = context;
        this.maxSequenceTokens = maxSequenceTokens;
        this.openRequests = openRequests;
        this.memory = context.memory();
        this.scheduler = new Scheduler(
                options.parallelSequences(),
                maxSequenceTokens,
                options.loraBatching(),
                options.maxAdaptersPerBatch(),
                options.prefixSharing() ? context.sharing() : PrefixCache.Sharing.NONE);
        this.thread = DaemonThreads.named("llamafu-decode").newThread(this::run);
    }

    void start() {
        thread.start();
    }

    boolean isAlive() {
        return thread.isAlive() && !stopping;
    }

    void add(PreparedRequest request) {
        commands.add(() -> {
            requests.put(request.sequence(), request);
            scheduler.add(request.sequence());
        });
    }

    /** Forgets an adapter without leases and then runs {@code forgotten}, which may free it. */
    void forget(LlamaAdapter adapter, Runnable forgotten) {
        commands.add(() -> {
            if (context.isMixed()) {
                // idle slots still refer to the adapters of their last sequence
                for (Slot slot : scheduler.freeSlots()) {
                    context.setAdapters(slot.index(), List.of());
                }
            }
            context.releaseAdapter(adapter);
            forgotten.run();
        });
    }

    /**
     * Pauses the calling thread briefly if a decode is running. Work beside the decode does this between small parts: the
     * threads of a step wait for the slowest of them, and the operating system may not take a core back before its next tick.
     */
    void giveWay() {
        if (activeSequences > 0 && !stopping) {
            LockSupport.parkNanos(PAUSE_NANOS);
        }
    }

    /** Ends the thread, even in the middle of a decode; returns whether it ended in time. */
    boolean stop(Duration timeout) {
        stopping = true;
        context.abort();
        commands.add(() -> {});
        if (Thread.currentThread() == thread) {
            return false;
        }
        return UninterruptedWait.await(timeout, nanos -> {
            TimeUnit.NANOSECONDS.timedJoin(thread, nanos);
            return !thread.isAlive();
        });
    }

    /** Frees the context and what the requests hold. Call it after {@link #stop}, when no command can arrive any more. */
    void dispose() {
        runCommands();
        dispose(scheduler.remove(sequence -> true));
        context.close();
    }

    private void run() {
        try {
            while (!stopping) {
                Runnable command =
                        scheduler.hasWork() ? commands.poll() : commands.poll(SWEEP_NANOS, TimeUnit.NANOSECONDS);
                if (command != null) {
                    command.run();
                    runCommands();
                }
                sweep();
                step();
            }
        } catch (Throwable e) {
            LOG.error("The decode thread ends because of an unexpected error; all requests fail.", e);
            stopping = true;
            openRequests.engineFailed(e);
        }
    }

    private void runCommands() {
        for (Runnable command = commands.poll(); command != null; command = commands.poll()) {
            command.run();
        }
    }

    /** Removes the sequences whose future is already complete: overdue or cancelled ones. */
    private void sweep() {
        long now = System.nanoTime();
        List<Sequence> settled;
        if (now - lastSweep >= SWEEP_NANOS) {
            lastSweep = now;
            openRequests.failOverdue(now);
            settled = scheduler.remove(this::isSettled);
        } else {
            settled = scheduler.removeRunning(this::isSettled);
        }
        dispose(settled);
    }

    private boolean isSettled(Sequence sequence) {
        return requests.get(sequence).future().isDone();
    }

    private void dispose(List<Sequence> removed) {
        for (Sequence sequence : removed) {
            requests.remove(sequence).dispose();
        }
    }

    private void step() {
        scheduler.admit(System.nanoTime()).forEach(this::enterSlot);
        scheduler.unstarted().stream().filter(scheduler::mayStart).forEach(this::start);
        activeSequences = scheduler.running().size();
        for (List<Sequence> group : scheduler.groups()) {
            decode(group);
        }
        countUsedCells();
    }

    private void countUsedCells() {
        long cells = 0;
        for (Sequence sequence : scheduler.running()) {
            cells += sequence.slot().length();
        }
        usedCells = cells;
    }

    /** The adapters that the slot had before may be freed from now on. */
    private void enterSlot(Sequence sequence) {
        openRequests.proceeds(requests.get(sequence).future(), System.nanoTime());
        if (context.isMixed()) {
            try {
                setAdapters(sequence);
            } catch (LlamafuException e) {
                fail(sequence, e);
            }
        }
    }

    private void setAdapters(Sequence sequence) {
        context.setAdapters(sequence.slot().index(), requests.get(sequence).nextAdapters());
    }

    /** Fills the cells of a sequence with the longest prefix of its prompt that there is. */
    private void start(Sequence sequence) {
        try {
            int cached = takePrefix(sequence);
            sequence.startAfter(cached);
            requests.get(sequence).begin(model.vocabulary());
            promptTokens.addAndGet(sequence.prompt().length - cached);
            cachedPromptTokens.addAndGet(cached);
            if (cached >= PrefixCache.SHORTEST) {
                prefixHits.incrementAndGet();
            }
        } catch (LlamafuException e) {
            fail(sequence, e);
        }
    }

    /** Returns the number of cells that the sequence has now. */
    private int takePrefix(Sequence sequence) {
        PrefixCache prefixes = scheduler.prefixes();
        Slot slot = sequence.slot();
        PrefixCache.Prefix prefix = prefixes.longest(sequence);
        prefixes.park(slot, prefix)
                .filter(parked -> context.parkCells(
                        slot.index(), parked.length(), parked.holder().index(), parked.firstCell()))
                .ifPresent(parked -> parked.holder().park(parked));
        slot.makeRoom(prefix.tokens());
        if (prefix.source() != slot && prefix.source().copyTo(context, slot, prefix.tokens())) {
            prefixes.use(prefix);
            return prefix.tokens();
        }
        return context.keepCells(slot.index(), prefixes.inPlace(sequence, slot));
    }

    private void decode(List<Sequence> group) {
        try {
            applyAdapters(group);
        } catch (LlamafuException e) {
            failAll(group, e);
            return;
        }
        List<Sequence> sampled = scheduler.fill(group, context.batch());
        context.round().clear();
        for (Sequence sequence : sampled) {
            if (requests.get(sequence).isSampled()) {
                context.round().add(requests.get(sequence).sampler(), sequence.outputRow());
            }
        }
        try {
            if (!context.decode()) {
                return; // aborted: the engine is closing and every future is complete
            }
            List<LlamafuException> failures = context.sample();
            decodeSteps.incrementAndGet();
            settle(sampled, failures.iterator());
        } catch (LlamafuException e) {
            failAll(group, e);
        }
    }

    /** Activated adapters begin in the middle of a sequence. */
    private void applyAdapters(List<Sequence> group) {
        if (!context.isMixed()) {
            context.setAdapters(requests.get(group.get(0)).nextAdapters());
            return;
        }
        for (Sequence sequence : group) {
            if (sequence.spans().nextStart(0) != AdapterSpans.NEVER) {
                setAdapters(sequence);
            }
        }
    }

    private void failAll(List<Sequence> group, LlamafuException failure) {
        LogRelay.relay();
        LOG.warn("A decode step of {} sequences failed.", group.size(), failure);
        for (Sequence sequence : List.copyOf(group)) {
            fail(sequence, failure);
        }
    }

    /** @param failures of the rows without a token, in order */
    private void settle(List<Sequence> sampled, Iterator<LlamafuException> failures) {
        long now = System.nanoTime();
        int row = 0;
        for (Sequence sequence : sampled) {
            PreparedRequest request = requests.get(sequence);
            try {
                if (request.isSampled()) {
                    int token = context.round().token(row++);
                    if (token < 0) {
                        throw failures.hasNext() ? failures.next() : withoutReason();
                    }
                    request.accept(token, model.vocabulary(), now);
                } else {
                    request.readLabels(context, now);
                }
            } catch (LlamafuException e) {
                fail(sequence, e);
                continue;
            }
            generatedTokens.addAndGet(request.countNewTokens());
            if (request.isFinished()) {
                leaveSlot(sequence);
                request.future().complete(request.result(now));
                request.dispose();
            }
        }
    }

    private static LlamafuException withoutReason() {
        return new LlamafuException(
                ErrorCode.ENGINE_FAILED,
                "No token was chosen for the sequence, and llama.cpp did not say why; report this.");
    }

    private void leaveSlot(Sequence sequence) {
        scheduler.finish(sequence);
        requests.remove(sequence);
        activeSequences = scheduler.running().size();
    }

    /** Fails a sequence and drops its cells, whose state is unknown. */
    private void fail(Sequence sequence, LlamafuException failure) {
        PreparedRequest request = requests.get(sequence);
        leaveSlot(sequence);
        sequence.slot().forget();
        request.future().completeExceptionally(failure);
        request.dispose();
    }

    EngineMetrics metrics(AdapterCache adapters, long memoHits) {
        int active = activeSequences;
        return new EngineMetrics(
                new EngineMetrics.Requests(
                        openRequests.submittedCount(),
                        openRequests.completedCount(),
                        openRequests.failedCount(),
                        memoHits,
                        Math.max(0, openRequests.count() - active)),
                new EngineMetrics.Decoding(
                        promptTokens.get(),
                        cachedPromptTokens.get(),
                        prefixHits.get(),
                        generatedTokens.get(),
                        decodeSteps.get()),
                new EngineMetrics.Sequences(
                        active,
                        options.parallelSequences(),
                        (long) active * maxSequenceTokens,
                        usedCells,
                        (long) options.parallelSequences() * maxSequenceTokens),
                new EngineMetrics.Adapters(
                        adapters.residentCount(),
                        adapters.loadCount(),
                        adapters.evictionCount(),
                        adapters.failureCount(),
                        adapters.budget()),
                new EngineMetrics.Memory(memory.model(), memory.context(), memory.compute(), adapters.residentBytes()));
    }
}
