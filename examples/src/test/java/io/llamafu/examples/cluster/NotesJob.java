package io.llamafu.examples.cluster;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.Completion;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.FilterFunction;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

import java.time.Duration;

/** An endless job that answers notes, and fails after a number of answers if told so. */
public final class NotesJob {
    private static final double NOTES_PER_SECOND = 50;

    private NotesJob() {}

    /**
     * Submits the job.
     *
     * @param arguments model, adapters, idle timeout in milliseconds, answers until a failure or 0, layers on a GPU
     */
    public static void main(String[] arguments) throws Exception {
        LlamafuOptions options = LlamafuOptions.builder()
                .model(arguments[0])
                .adapters(arguments[1])
                .idleTimeout(Duration.ofMillis(Long.parseLong(arguments[2])))
                .promptTemplate("### Text:\n{text}\n### Answer:\n")
                .maxTokens(48)
                .threads(1)
                .gpuLayers(Integer.parseInt(arguments[4]))
                .build();
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.setParallelism(1);
        GeneratorFunction<Long, String> notes = number -> "Ward note %d: swollen eyelid.".formatted(number);
        DataGeneratorSource<String> source = new DataGeneratorSource<>(
                notes, Long.MAX_VALUE, RateLimiterStrategy.perSecond(NOTES_PER_SECOND), Types.STRING);
        Llamafu.complete(env.fromSource(source, WatermarkStrategy.noWatermarks(), "notes"))
                .prompt(note -> note)
                .defaultRoute(AdapterStack.parse("medical"))
                .with(options)
                .build()
                .filter(new FailAfter(Integer.parseInt(arguments[3])))
                .sinkTo(new DiscardingSink<>());
        env.execute("notes");
    }

    private static final class FailAfter implements FilterFunction<Completion> {
        private static final long serialVersionUID = 1L;

        private final int limit;
        private int answers;

        private FailAfter(int limit) {
            this.limit = limit;
        }

        @Override
        public boolean filter(Completion completion) {
            answers++;
            if (answers == limit) {
                throw new IllegalStateException("This is the failure that the test wants.");
            }
            return true;
        }
    }
}
