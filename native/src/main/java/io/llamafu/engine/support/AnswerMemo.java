package io.llamafu.engine.support;

import io.llamafu.engine.Completion;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.engine.SamplingOptions;

import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static java.util.Objects.requireNonNull;

/**
 * Asks the model once for identical questions: one that was answered a moment ago is answered from here, and one that is
 * being answered waits for that answer. Each question has one answer: at temperature 0, and above it because the seed is
 * part of it. Failures are not remembered.
 *
 * <p>Who waits keeps his own deadline. If the one he waits for gives up, the next is asked in its place; if it fails, all
 * are asked at once, so that a question which fails late is not asked one after the other. Whoever takes a waiting one out
 * of its group settles it. Thread-safe.
 */
public final class AnswerMemo {
    private static final int MOST_ANSWERS = 10_000;
    /** Objects of an entry beside its texts and tokens, roughly. */
    private static final long BYTES_OF_AN_ENTRY = 400;

    private final long mostBytes;
    /** The longest unused first. */
    private final LinkedHashMap<Question, Completion> answers = new LinkedHashMap<>(16, 0.75f, true);

    private final Map<Question, Group> asked = new HashMap<>();
    private long bytes;
    private long hits;
    private boolean closed;

    /**
     * What decides an answer, as far as a model decides it.
     *
     * @param prompt its text or its tokens, as a value that is compared by its content
     * @param promptBytes how much memory that takes
     * @param adapters with the digests of their files: a version that was published anew is another question
     */
    public record Question(
            Object prompt,
            long promptBytes,
            List<ResolvedAdapter> adapters,
            SamplingOptions sampling,
            int maxTokens,
            List<String> stop) {
        public Question {
            requireNonNull(prompt, "prompt is null");
            adapters = List.copyOf(adapters);
            requireNonNull(sampling, "sampling is null");
            stop = List.copyOf(stop);
        }

        private long bytes() {
            long texts = sampling.grammar().length()
                    + stop.stream().mapToLong(String::length).sum();
            return BYTES_OF_AN_ENTRY + promptBytes + 2 * texts + BYTES_OF_AN_ENTRY * adapters.size();
        }
    }

    /** One who asks; each is itself only. */
    public static final class Asker {
        private final CompletableFuture<Completion> future;
        private final long submittedNanos;
        private final Runnable ask;
        private final Runnable dispose;

        /**
         * @param future gets the answer
         * @param submittedNanos when it was submitted, as in {@link System#nanoTime}
         * @param ask asks the model, for one who has waited in vain; does not throw or block
         * @param dispose frees what is only needed to ask the model, when that has turned out to be needless
         */
        public Asker(CompletableFuture<Completion> future, long submittedNanos, Runnable ask, Runnable dispose) {
            this.future = requireNonNull(future, "future is null");
            this.submittedNanos = submittedNanos;
            this.ask = requireNonNull(ask, "ask is null");
            this.dispose = requireNonNull(dispose, "dispose is null");
        }

        private void answer(Completion known) {
            double millis = (System.nanoTime() - submittedNanos) / (double) TimeUnit.MILLISECONDS.toNanos(1);
            future.complete(known.repeated(new Completion.Timings(millis, millis, millis)));
            dispose.run();
        }
    }

    /** Those who wait for the answer to one question. */
    private static final class Group {
        private final Set<Asker> waiting = new LinkedHashSet<>();
    }

    /** @param mostBytes for questions and answers, of the JVM's heap; 0 asks the model for each question */
    public AnswerMemo(long mostBytes) {
        this.mostBytes = mostBytes;
    }

    /** Whether the caller must ask the model for this one; else it is answered here, or disposed of. */
    public boolean mustAsk(Question question, Asker asker) {
        if (mostBytes == 0) {
            return true;
        }
        Completion known;
        Group group;
        boolean leads = false;
        synchronized (this) {
            known = answers.get(question);
            group = asked.get(question);
            if (known != null) {
                hits++;
            } else if (group == null) {
                leads = true;
                group = new Group();
                asked.put(question, group);
            } else {
                group.waiting.add(asker);
            }
        }
        if (known != null) {
            asker.answer(known);
        } else if (leads) {
            settleWith(question, group, asker);
        } else {
            leaveWhenDone(group, asker);
        }
        return leads;
    }

    @SuppressWarnings("FutureReturnValueIgnored") // nothing escapes it
    private void settleWith(Question question, Group group, Asker leader) {
        leader.future.whenComplete((completion, failure) -> {
            if (failure == null) {
                answerAll(question, group, completion);
            } else if (leader.future.isCancelled()) {
                askNext(question, group);
            } else {
                askAll(question, group);
            }
        });
    }

    @SuppressWarnings("FutureReturnValueIgnored") // nothing escapes it
    private void leaveWhenDone(Group group, Asker asker) {
        asker.future.whenComplete((completion, failure) -> {
            boolean left;
            synchronized (this) {
                left = group.waiting.remove(asker);
            }
            if (left) {
                asker.dispose.run();
            }
        });
    }

    private void answerAll(Question question, Group group, Completion completion) {
        List<Asker> answered;
        synchronized (this) {
            asked.remove(question, group);
            remember(question, completion);
            answered = List.copyOf(group.waiting);
            group.waiting.clear();
            hits += answered.size();
        }
        answered.forEach(asker -> asker.answer(completion));
    }

    private void remember(Question question, Completion completion) {
        long needed = bytes(question, completion);
        if (needed > mostBytes || answers.putIfAbsent(question, completion) != null) {
            return;
        }
        bytes += needed;
        Iterator<Map.Entry<Question, Completion>> oldest = answers.entrySet().iterator();
        while (bytes > mostBytes || answers.size() > MOST_ANSWERS) {
            Map.Entry<Question, Completion> entry = oldest.next();
            bytes -= bytes(entry.getKey(), entry.getValue());
            oldest.remove();
        }
    }

    private static long bytes(Question question, Completion completion) {
        return question.bytes() + 2L * completion.text().length();
    }

    private void askNext(Question question, Group group) {
        Optional<Asker> next;
        synchronized (this) {
            next = closed ? Optional.empty() : firstOf(group);
            if (next.isEmpty()) {
                asked.remove(question, group);
            }
            // Under the lock, so that nobody is asked after close.
            next.ifPresent(asker -> asker.ask.run());
        }
        next.ifPresent(asker -> settleWith(question, group, asker));
    }

    private synchronized void askAll(Question question, Group group) {
        asked.remove(question, group);
        Optional<Asker> next = closed ? Optional.empty() : firstOf(group);
        while (next.isPresent()) {
            rememberAnswer(question, next.get());
            next.get().ask.run();
            next = firstOf(group);
        }
    }

    @SuppressWarnings("FutureReturnValueIgnored") // nothing escapes it
    private void rememberAnswer(Question question, Asker asker) {
        asker.future.whenComplete((completion, failure) -> {
            if (failure == null) {
                synchronized (this) {
                    remember(question, completion);
                }
            }
        });
    }

    /** The first who has not given up; the others leave by themselves. */
    private static Optional<Asker> firstOf(Group group) {
        Optional<Asker> first =
                group.waiting.stream().filter(asker -> !asker.future.isDone()).findFirst();
        first.ifPresent(group.waiting::remove);
        return first;
    }

    /** Requests that were answered without the model. */
    public synchronized long hits() {
        return hits;
    }

    /** Asks for nobody who waits any more; afterwards all requests that are open must fail. */
    public synchronized void close() {
        closed = true;
    }
}
