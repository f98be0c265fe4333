package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.options.ChatOptions;
import org.apache.flink.metrics.Meter;
import org.apache.flink.metrics.View;
import org.apache.flink.metrics.testutils.MetricListener;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Supplier;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** The metrics of an engine's user; {@code MetricsIT} compares the names with the documentation. */
class CompletionMetricsTest {
    private static final int SECONDS_PER_RATE = 60;

    private final ScriptedEngine engine = new ScriptedEngine();
    private final MetricListener metrics = new MetricListener();
    private EngineClient client;
    private int submitted;

    @BeforeEach
    void open(@TempDir Path folder) {
        LlamafuOptions options = LlamafuOptions.builder().model("base.gguf").build();
        client = EngineClient.open(
                options,
                new TaskManager(folder, Optional.empty(), OptionalInt.empty()),
                engineOptions -> engine.lease(),
                metrics.getMetricGroup());
    }

    /** Its index, for {@link ScriptedEngine#answer}. */
    private int submit(String stack) {
        ask(() -> CompletionRequest.of("prompt", AdapterStack.parse(stack)));
        return submitted++;
    }

    private void ask(Supplier<CompletionRequest> request) {
        EngineClient.OpenRequest unused = client.ask(new TestQuestion(request));
    }

    private record TestQuestion(Supplier<CompletionRequest> made) implements Question {
        @Override
        public CompletionRequest request() {
            return made.get();
        }

        @Override
        public String promptTemplateDigest() {
            return "";
        }

        @Override
        public boolean promptInOutput() {
            return false;
        }

        @Override
        public ChatOptions chat() {
            return LlamafuOptions.builder().model("base.gguf").build().chat();
        }

        @Override
        public OnError onError() {
            return OnError.EMIT;
        }

        @Override
        public String subject() {
            return "A record";
        }
    }

    private long count(String... name) {
        return metrics.getCounter(name("llamafu", name)).orElseThrow().getCount();
    }

    private Object gauge(String name) {
        return metrics.getGauge("llamafu", "engine", name).orElseThrow().getValue();
    }

    private double mean(String histogram) {
        return metrics.getHistogram("llamafu", histogram)
                .orElseThrow()
                .getStatistics()
                .getMean();
    }

    private static String[] name(String group, String... name) {
        String[] whole = new String[name.length + 1];
        whole[0] = group;
        System.arraycopy(name, 0, whole, 1, name.length);
        return whole;
    }

    @Test
    void recordsTokensAndErrorsByCodeAreCounted() {
        int good = submit("");
        int tooLong = submit("");
        ask(() -> {
            throw new LlamafuException(ErrorCode.INVALID_REQUEST, "no request can be made of the record");
        });
        assertThat(count("requests")).isEqualTo(3);
        assertThat(count("code", "INVALID_REQUEST", "errors")).isEqualTo(1);

        engine.answer(good, "text");
        engine.fail(tooLong, ErrorCode.PROMPT_TOO_LONG, "too long");

        assertThat(count("completions")).isEqualTo(1);
        assertThat(count("errors")).isEqualTo(2);
        assertThat(count("code", "PROMPT_TOO_LONG", "errors")).isEqualTo(1);
        assertThat(count("code", "ENGINE_FAILED", "errors")).isZero();
        assertThat(count("promptTokens")).isEqualTo(7);
        assertThat(count("cachedPromptTokens")).isEqualTo(3);
        assertThat(count("generatedTokens")).isEqualTo(5);
    }

    @Test
    void tokensOfRememberedAnswersWereNotGenerated() {
        engine.answer(submit("medical"), "text");
        int again = submit("medical");
        CompletionResult first = engine.answer(0).join();
        engine.answer(again).complete(first.repeated(new CompletionResult.Timings(1, 1, 1)));

        assertThat(count("completions")).isEqualTo(2);
        assertThat(count("memoHits")).isEqualTo(1);
        assertThat(count("generatedTokens")).isEqualTo(5);
        assertThat(count("adapter", "medical", "completions")).isEqualTo(2);
        assertThat(count("adapter", "medical", "generatedTokens")).isEqualTo(5);
        assertThat(count("promptTokens") - count("cachedPromptTokens"))
                .as("prefilled")
                .isEqualTo(4);
    }

    @Test
    void everyCodeHasItsCounter() {
        for (ErrorCode code : ErrorCode.values()) {
            engine.fail(submit(""), code, "text");
            assertThat(count("code", code.name(), "errors")).as(code.name()).isEqualTo(1);
        }
        assertThat(count("errors")).isEqualTo(ErrorCode.values().length);
    }

    @Test
    void ratesAreThoseOfTheLastMinute() {
        engine.answer(submit(""), "text");
        engine.fail(submit(""), ErrorCode.PROMPT_TOO_LONG, "too long");

        assertRate("requestsPerSecond", 2);
        assertRate("completionsPerSecond", 1);
        assertRate("errorsPerSecond", 1);
        assertRate("promptTokensPerSecond", 7);
        assertRate("cachedPromptTokensPerSecond", 3);
        assertRate("generatedTokensPerSecond", 5);
    }

    private void assertRate(String name, double inTheLastMinute) {
        Meter rate = metrics.getMeter("llamafu", name).orElseThrow();
        // Flink does so every five seconds.
        ((View) rate).update();
        assertThat(rate.getRate()).as(name).isCloseTo(inTheLastMinute / SECONDS_PER_RATE, within(1e-9));
    }

    @Test
    void histogramsAreOfCompletions() {
        engine.answer(submit(""), "text");

        assertThat(mean("queueMillis")).isEqualTo(2);
        assertThat(mean("firstTokenMillis")).isEqualTo(3);
        assertThat(mean("totalMillis")).isEqualTo(4);
    }

    @Test
    void engineShowsWhatItHas() {
        assertThat(gauge("activeSequences")).isEqualTo(2);
        assertThat(gauge("parallelSequences")).isEqualTo(16);
        assertThat(gauge("batchFill")).isEqualTo(2 / 16.0);
        assertThat(gauge("waitingRequests")).isEqualTo(4);
        assertThat(gauge("reservedCells")).isEqualTo(100L);
        assertThat(gauge("usedCells")).isEqualTo(64L);
        assertThat(gauge("contextCells")).isEqualTo(8192L);
        assertThat(gauge("contextUse")).isEqualTo(64 / 8192.0);
        assertThat(gauge("decodeSteps")).isEqualTo(50L);
        assertThat(gauge("residentAdapters")).isEqualTo(3);
        assertThat(gauge("adapterLoads")).isEqualTo(6L);
        assertThat(gauge("adapterEvictions")).isEqualTo(2L);
        assertThat(gauge("adapterFailures")).isEqualTo(1L);
        assertThat(gauge("memoHits")).isEqualTo(9L);
        assertThat(gauge("modelLoads")).isEqualTo(SharedEngines.openedEngines());
        assertThat(gauge("modelBytes")).isEqualTo(1000L);
        assertThat(gauge("contextBytes")).isEqualTo(200L);
        assertThat(gauge("computeBytes")).isEqualTo(30L);
        assertThat(gauge("adapterBytes")).isEqualTo(5L);
        assertThat(gauge("adapterBudgetBytes")).isEqualTo(77L);
    }

    @Test
    void requestsOfAdaptersAreThoseThatWereAnsweredOrFailed() {
        engine.answer(submit("medical:0.5+formal"), "text");
        engine.fail(submit("medical"), ErrorCode.PROMPT_TOO_LONG, "too long");
        engine.fail(submit("broken"), ErrorCode.ADAPTER_INVALID, "one that never loads is seen too");

        assertThat(count("adapter", "medical", "requests")).isEqualTo(2);
        assertThat(count("adapter", "medical", "completions")).isEqualTo(1);
        assertThat(count("adapter", "formal", "requests")).isEqualTo(1);
        assertThat(count("adapter", "broken", "requests")).isEqualTo(1);
        assertThat(count("adapter", "broken", "completions")).isZero();
    }

    @Test
    void namesThatNoAdapterHasTakeNoPlaceAmongTheAdapters() {
        for (int i = 0; i < 2 * AdapterMetrics.MOST_ADAPTERS; i++) {
            engine.fail(submit("missing-" + i), ErrorCode.ADAPTER_NOT_FOUND, "missing");
        }
        for (int i = 0; i < AdapterMetrics.MOST_ADAPTERS; i++) {
            engine.answer(submit("adapter-" + i), "text");
            assertThat(count("adapter", "adapter-" + i, "requests")).isEqualTo(1);
        }

        assertThat(count("adapter", AdapterMetrics.OTHERS, "requests")).isEqualTo(2 * AdapterMetrics.MOST_ADAPTERS);
        assertThat(metrics.getCounter("llamafu", "adapter", "missing-0", "requests"))
                .isEmpty();
    }

    @Test
    void adaptersHaveMetricsOfTheirOwnUpToABound() {
        engine.answer(submit("adapter-0:0.5+adapter-1"), "text");
        for (int i = 0; i < AdapterMetrics.MOST_ADAPTERS + 5; i++) {
            engine.answer(submit("adapter-" + i), "text");
        }

        assertThat(count("adapter", "adapter-0", "requests")).isEqualTo(2);
        assertThat(count("adapter", "adapter-0", "completions")).isEqualTo(2);
        assertThat(count("adapter", "adapter-0", "promptTokens")).isEqualTo(14);
        assertThat(count("adapter", "adapter-1", "generatedTokens")).isEqualTo(10);
        assertThat(count("adapter", "adapter-99", "completions")).isEqualTo(1);
        assertThat(count("adapter", AdapterMetrics.OTHERS, "requests"))
                .as("adapter-100 to adapter-104")
                .isEqualTo(5);
        assertThat(count("adapter", AdapterMetrics.OTHERS, "completions")).isEqualTo(5);
        assertThat(metrics.getCounter("llamafu", "adapter", "adapter-100", "requests"))
                .isEmpty();
    }
}
