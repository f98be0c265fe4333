package io.llamafu.examples;

import io.llamafu.flink.Completion;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import java.util.List;

/** A bounded job that runs in this process. */
final class LocalJob {
    private LocalJob() {}

    static StreamExecutionEnvironment environment() {
        Configuration configuration = new Configuration();
        // No record may fall back to Kryo.
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(1);
        return env;
    }

    /** Runs the job; of answers that are too many, only the first is seen. */
    static List<Answer> answersOf(DataStream<Completion> completions, String job, int expected) throws Exception {
        return completions.executeAndCollect(job, expected + 1).stream()
                .map(Answer::of)
                .toList();
    }
}
