package io.llamafu.flink;

import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** Half of an emoji, in every place where a record or a change can have it, and between subtasks. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class BrokenTextsIT {
    private static final int SUBTASKS = 4;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(SUBTASKS);

    @TempDir
    static Path folder;

    @Test
    void brokenKeysAndIdsAreErrorsOfTheirRecordsAndRejectedChanges() throws Exception {
        List<Integer> halves = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            halves.add(i);
        }
        StreamExecutionEnvironment env = Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), SUBTASKS);
        DataStream<Integer> numbers = env.fromData(Types.INT, halves.toArray(Integer[]::new));
        CompletionStreams<Integer> streams = new CompletionBuilder<>(numbers, PacedLeases.atOnce())
                .keyBy(BrokenTextsIT::broken)
                .id(number -> number % 2 == 0 ? broken(number) : "id-" + number)
                .prompt(number -> "text")
                .routes(numbers.map(number -> number % 2 == 0
                                ? new AdapterRoute(broken(number), "medical", 0L, null)
                                : new AdapterRoute("a", null, 0L, Arrays.asList(new RouteVariant(null, 1))))
                        .returns(AdapterRoute.class))
                .rules(numbers.map(number -> new RouteRule(broken(number), broken(number), 0, "legal", null, 0L))
                        .returns(RouteRule.class))
                .with(Notes.options().onError(OnError.EMIT).build())
                .buildStreams();
        DataStream<String> outcomes = streams.deadLetters()
                .map(answered -> answered.completion().getErrorCode() + " "
                        + answered.completion().getId())
                .union(streams.rejectedRoutes().orElseThrow().map(rejected -> "rejected " + rejected.getErrorCode()));

        List<String> expected = new ArrayList<>();
        for (int number : halves) {
            expected.add("INVALID_TEXT " + (number % 2 == 0 ? null : "id-" + number));
            expected.add("rejected " + (number % 2 == 0 ? "INVALID_TEXT" : "INVALID_REQUEST"));
            expected.add("rejected INVALID_TEXT");
        }
        assertThat(outcomes.executeAndCollect(expected.size() + 1)).containsExactlyInAnyOrderElementsOf(expected);
        assertThat(Optional.of(expected.size())).contains(3 * halves.size());
    }

    private static String broken(int number) {
        return "\uD83D" + number;
    }
}
