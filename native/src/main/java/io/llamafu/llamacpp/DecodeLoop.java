package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.support.OpenRequests;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * The thread that owns the scheduler and the context. One step is: take commands, admit, fill a batch, decode it, sample
 * it, settle the sequences. Others talk to it by commands only.
 */
final class DecodeLoop {
    private static final Logger LOG = LoggerFactory.getLogger(DecodeLoop.class);
    /** How late a deadline or a cancellation of a waiting request may be noticed. */
    private static final long SWEEP_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

    private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(2);

    private final EngineOptions options;
    private final LlamaModel model;
    private final LlamaContext context;
    private final OpenRequests openRequests;
    private final Scheduler scheduler;
    private final Thread thread;
    private final BlockingQueue<Runnable> commands = new LinkedBlockingQueue<>();
    private final List<Sequence> sampled = new ArrayList<>();
    private final EngineMetrics.Memory memory;
    private final int maxSequenceTokens;

    private volatile boolean stopping;
    private long lastSweep;

    private final AtomicLong promptTokens = new AtomicLong();
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
        this.memory = LlamaCppEngine.memory(context, 0);
        this.scheduler = new Scheduler(
                options.parallelSequences(), maxSequenceTokens, options.loraBatching(), options.maxAdaptersPerBatch());
        this.thread = new Thread(this::run, "llamafu-decode");
        this.thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    boolean isAlive() {
        return thread.isAlive() && !stopping;
    }

    void add(Sequence sequence) {
        commands.add(() -> scheduler.add(sequence));
    }

    /** Forgets an adapter that no sequence has a lease of, and then runs {@code forgotten}: it may be freed. */
    void forget(LlamaAdapter adapter, Runnable forgotten) {
        commands.add(() -> {
            if (context.isMixed()) {
                // idle slots still name the adapters of their last sequence
                for (Slot slot : scheduler.freeSlots()) {
                    context.setAdapters(slot.index(), List.of());
                }
            }
            context.releaseAdapter(adapter);
            forgotten.run();
        });
    }

    /**
     * Leaves the processor to a decode that is going on, for a moment. What works beside it does so between small parts of
     * its work: the threads of a step wait for the slowest of them, and a scheduler that has given a core away may not
     * take it back before its next tick.
     */
    void giveWay() {
        if (activeSequences > 0 && !stopping) {
            LockSupport.parkNanos(PAUSE_NANOS);
        }
    }

    /** Ends the thread, in the middle of a decode if need be; returns whether it ended in time. */
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

    /** Frees what the sequences hold and the context. Only after {@link #stop} and when no command can come any more. */
    void dispose() {
        runCommands();
        scheduler.remove(sequence -> true).forEach(Sequence::dispose);
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

    /** Takes out the sequences that have their outcome already: overdue or cancelled ones. */
    private void sweep() {
        long now = System.nanoTime();
        List<Sequence> settled;
        if (now - lastSweep >= SWEEP_NANOS) {
            lastSweep = now;
            openRequests.failOverdue(now);
            settled = scheduler.remove(sequence -> sequence.future().isDone());
        } else {
            settled = scheduler.removeRunning(sequence -> sequence.future().isDone());
        }
        settled.forEach(Sequence::dispose);
    }

    private void step() {
        scheduler.admit(System.nanoTime()).forEach(this::prepareSlot);
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

    /** Gives the context the adapters of a sequence, and removes the cells that its prompt cannot use. */
    private void prepareSlot(Sequence sequence) {
        openRequests.proceeds(sequence.future(), System.nanoTime());
        int slot = sequence.slot().index();
        try {
            int cached = model.figures().cuttable() ? sequence.reusableTokens() : 0;
            if (!context.removeCells(slot, cached)) {
                cached = 0;
                context.removeCells(slot, 0);
            }
            if (context.isMixed()) {
                context.setAdapters(slot, sequence.adapters().scaled());
            }
            sequence.startAfter(cached);
            promptTokens.addAndGet(sequence.prompt().length - cached);
        } catch (LlamafuException e) {
            fail(sequence, e);
        }
    }

    private void decode(List<Sequence> group) {
        scheduler.fill(group, context.batch(), context.round(), sampled);
        try {
            if (!context.isMixed()) {
                context.setAdapters(group.get(0).adapters().scaled());
            }
            if (!context.decode()) {
                return; // aborted: the engine is closing and every future has its outcome
            }
            List<LlamafuException> failures = context.sample();
            decodeSteps.incrementAndGet();
            settle(failures.iterator());
        } catch (LlamafuException e) {
            LogRelay.relay();
            LOG.warn("A decode step of {} sequences failed.", group.size(), e);
            for (Sequence sequence : List.copyOf(group)) {
                fail(sequence, e);
            }
        }
    }

    /** @param failures of the rows without a token, in their order */
    private void settle(Iterator<LlamafuException> failures) {
        long now = System.nanoTime();
        for (int row = 0; row < sampled.size(); row++) {
            Sequence sequence = sampled.get(row);
            int token = context.round().token(row);
            if (token < 0) {
                fail(sequence, failures.hasNext() ? failures.next() : withoutReason());
                continue;
            }
            sequence.accept(token, model.vocabulary(), now);
            generatedTokens.incrementAndGet();
            if (sequence.isFinished()) {
                leaveSlot(sequence);
                sequence.future().complete(sequence.completion(now));
                sequence.dispose();
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
        activeSequences = scheduler.running().size();
    }

    /** Fails a sequence and forgets its cells, whose state is unknown. */
    private void fail(Sequence sequence, LlamafuException failure) {
        leaveSlot(sequence);
        sequence.slot().keep(0, List.of());
        sequence.future().completeExceptionally(failure);
        sequence.dispose();
    }

    EngineMetrics metrics(AdapterCache adapters, long memoHits) {
        int active = activeSequences;
        return new EngineMetrics(
                openRequests.submittedCount(),
                openRequests.completedCount(),
                openRequests.failedCount(),
                promptTokens.get(),
                generatedTokens.get(),
                decodeSteps.get(),
                Math.max(0, openRequests.count() - active),
                active,
                options.parallelSequences(),
                (long) active * maxSequenceTokens,
                usedCells,
                (long) options.parallelSequences() * maxSequenceTokens,
                adapters.residentCount(),
                adapters.loadCount(),
                adapters.evictionCount(),
                adapters.failureCount(),
                memoHits,
                new EngineMetrics.Memory(memory.model(), memory.context(), memory.compute(), adapters.residentBytes()));
    }
}
