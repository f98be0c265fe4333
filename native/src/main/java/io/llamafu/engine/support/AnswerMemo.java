package io.llamafu.engine.support;

import io.llamafu.Futures;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.LabelChoice;
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
 * Asks the model once for identical questions. A question that was answered recently is answered from the memo; one that is
 * being answered waits for that answer. Each question has one answer, also above temperature 0, because the seed is part of
 * it. Failures are not remembered.
 *
 * <p>A waiting request keeps its own deadline. If the request that it waits for is cancelled, the next one is asked instead;
 * if that request fails, all waiting ones are asked at once, so that a question which fails late does not fail one request
 * after the other. The call that removes a waiting request from its group settles it. Thread-safe.
 */
public final class AnswerMemo {
    private static final int MOST_ANSWERS = 10_000;
    /** A rough size of the objects of an entry besides its texts and tokens. */
    private static final long BYTES_OF_AN_ENTRY = 400;

    private static final long BYTES_OF_A_SCORE = 24;

    private final long mostBytes;
    /** The least recently used first. */
    private final LinkedHashMap<Question, CompletionResult> answers = new LinkedHashMap<>(16, 0.75f, true);

    private final Map<Question, Group> asked = new HashMap<>();
    private long bytes;
    private long hits;
    private boolean closed;

    /**
     * Everything that determines an answer.
     *
     * @param prompt its text or its tokens, as a value that is compared by content
     * @param promptBytes the memory it takes
     * @param adapters with the digests of their files: a new version makes another question
     */
    public record Question(
            Object prompt,
            long promptBytes,
            List<AppliedAdapter> adapters,
            SamplingOptions sampling,
            int maxTokens,
            List<String> stop,
            Optional<LabelChoice> labels) {
        public Question {
            requireNonNull(prompt, "prompt is null");
            adapters = List.copyOf(adapters);
            requireNonNull(sampling, "sampling is null");
            stop = List.copyOf(stop);
            requireNonNull(labels, "labels is null");
        }

        /** Without labels. */
        public Question(
                Object prompt,
                long promptBytes,
                List<AppliedAdapter> adapters,
                SamplingOptions sampling,
                int maxTokens,
                List<String> stop) {
            this(prompt, promptBytes, adapters, sampling, maxTokens, stop, Optional.empty());
        }

        private long bytes() {
            // the labels are mostly one object of many questions, but each record of a job may have its own
            long texts = sampling.grammar().length()
                    + stop.stream().mapToLong(String::length).sum()
                    + labels.stream()
                            .flatMap(choice -> choice.labels().stream())
                            .mapToLong(String::length)
                            .sum();
            return BYTES_OF_AN_ENTRY + promptBytes + 2 * texts + BYTES_OF_AN_ENTRY * adapters.size();
        }
    }

    /** A request for an answer, compared by identity. */
    public static final class Asker {
        private final CompletableFuture<CompletionResult> future;
        private final long submittedNanos;
        private final Runnable ask;
        private final Runnable dispose;

        /**
         * @param future gets the answer
         * @param submittedNanos when it was submitted, as in {@link System#nanoTime}
         * @param ask asks the model after a wait in vain; does not throw or block
         * @param dispose frees what only the model would have needed
         */
        public Asker(CompletableFuture<CompletionResult> future, long submittedNanos, Runnable ask, Runnable dispose) {
            this.future = requireNonNull(future, "future is null");
            this.submittedNanos = submittedNanos;
            this.ask = requireNonNull(ask, "ask is null");
            this.dispose = requireNonNull(dispose, "dispose is null");
        }

        private void answer(CompletionResult known) {
            double millis = (System.nanoTime() - submittedNanos) / (double) TimeUnit.MILLISECONDS.toNanos(1);
            future.complete(known.repeated(new CompletionResult.Timings(millis, millis, millis)));
            dispose.run();
        }
    }

    /** The requests that wait for the answer to one question. */
    private static final class Group {
        private final Set<Asker> waiting = new LinkedHashSet<>();
    }

    /** @param mostBytes heap for questions and answers; 0 turns the memo off */
    public AnswerMemo(long mostBytes) {
        this.mostBytes = mostBytes;
    }

    /** Whether the caller must ask the model. Otherwise the request is answered or disposed of here. */
    public boolean mustAsk(Question question, Asker asker) {
        if (mostBytes == 0) {
            return true;
        }
        CompletionResult known;
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

    private void settleWith(Question question, Group group, Asker leader) {
        Futures.whenComplete(leader.future, (completion, failure) -> {
            if (failure == null) {
                answerAll(question, group, completion);
            } else if (leader.future.isCancelled()) {
                askNext(question, group);
            } else {
                askAll(question, group);
            }
        });
    }

    private void leaveWhenDone(Group group, Asker asker) {
        Futures.whenComplete(asker.future, (completion, failure) -> {
            boolean left;
            synchronized (this) {
                left = group.waiting.remove(asker);
            }
            if (left) {
                asker.dispose.run();
            }
        });
    }

    private void answerAll(Question question, Group group, CompletionResult completion) {
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

    private void remember(Question question, CompletionResult completion) {
        long needed = bytes(question, completion);
        if (needed > mostBytes || answers.putIfAbsent(question, completion) != null) {
            return;
        }
        bytes += needed;
        Iterator<Map.Entry<Question, CompletionResult>> oldest =
                answers.entrySet().iterator();
        while (bytes > mostBytes || answers.size() > MOST_ANSWERS) {
            Map.Entry<Question, CompletionResult> entry = oldest.next();
            bytes -= bytes(entry.getKey(), entry.getValue());
            oldest.remove();
        }
    }

    private static long bytes(Question question, CompletionResult completion) {
        long scores = completion
                .labels()
                .map(known -> BYTES_OF_A_SCORE * known.probabilities().size())
                .orElse(0L);
        return question.bytes() + 2L * completion.text().length() + scores;
    }

    private void askNext(Question question, Group group) {
        Optional<Asker> next;
        synchronized (this) {
            next = closed ? Optional.empty() : firstOf(group);
            if (next.isEmpty()) {
                asked.remove(question, group);
            }
            // under the lock, so that the model is not asked after close
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

    private void rememberAnswer(Question question, Asker asker) {
        Futures.whenComplete(asker.future, (completion, failure) -> {
            if (failure == null) {
                synchronized (this) {
                    remember(question, completion);
                }
            }
        });
    }

    /** The first request that is not done; the others remove themselves. */
    private static Optional<Asker> firstOf(Group group) {
        Optional<Asker> first =
                group.waiting.stream().filter(asker -> !asker.future.isDone()).findFirst();
        first.ifPresent(group.waiting::remove);
        return first;
    }

    /** How many requests were answered without the model. */
    public synchronized long hits() {
        return hits;
    }

    /** Stops asking the model for waiting requests; the caller must fail all open ones afterwards. */
    public synchronized void close() {
        closed = true;
    }
}
