package io.llamafu.examples.benchmark;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineProvider;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.concurrent.CompletableFuture;

/** An engine on the class path. */
final class EngineCompetitor implements Competitor {
    private static final double NANOS_PER_MILLI = 1e6;
    private static final Duration TIMEOUT = Duration.ofMinutes(30);

    private final InferenceEngine engine;
    private final Runnable end;

    private EngineCompetitor(InferenceEngine engine, Runnable end) {
        this.engine = engine;
        this.end = end;
    }

    static EngineCompetitor open(EngineProvider provider, EngineOptions options) {
        InferenceEngine engine = provider.open(options);
        return new EngineCompetitor(engine, engine::close);
    }

    /** The engine that jobs in this JVM share. */
    static EngineCompetitor shared(EngineOptions options) {
        SharedEngines.Lease lease = SharedEngines.acquire(options);
        return new EngineCompetitor(lease.engine(), lease::close);
    }

    /** The engine of this name, if it is on the class path and runs here. */
    static Optional<EngineProvider> provider(String name) {
        return ServiceLoader.load(EngineProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals(name) && provider.isAvailable())
                .findFirst();
    }

    static EngineProvider requiredProvider(String name) {
        return provider(name)
                .orElseThrow(() -> new IllegalStateException("The engine '%s' does not run here.".formatted(name)));
    }

    @Override
    public List<Times> answer(List<Query> queries) {
        List<Long> sent = new ArrayList<>();
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (CompletionRequest request :
                queries.stream().map(EngineCompetitor::request).toList()) {
            sent.add(System.nanoTime());
            answers.add(engine.submit(request));
        }
        List<Times> times = new ArrayList<>();
        for (int index = 0; index < queries.size(); index++) {
            times.add(times(sent.get(index), answers.get(index).join(), queries.get(index)));
        }
        return times;
    }

    private static CompletionRequest request(Query query) {
        AdapterStack stack = query.adapter() == NO_ADAPTER
                ? AdapterStack.base()
                : AdapterStack.of(RandomModels.adapterName(query.adapter()), 1);
        return CompletionRequest.of(query.prompt(), stack)
                .withMaxTokens(query.tokens())
                .withTimeout(TIMEOUT);
    }

    private static Times times(long sent, CompletionResult answer, Query query) {
        if (answer.generatedTokens() != query.tokens()) {
            throw new IllegalStateException("An answer has %d tokens instead of %d (%s)."
                    .formatted(answer.generatedTokens(), query.tokens(), answer.finishReason()));
        }
        CompletionResult.Timings timings = answer.timings();
        return new Times(
                sent,
                sent + (long) (timings.firstTokenMillis() * NANOS_PER_MILLI),
                sent + (long) (timings.totalMillis() * NANOS_PER_MILLI));
    }

    @Override
    public void close() {
        end.run();
    }
}
