package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.artifact.RemoteStore;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.ExceptionUtils;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Whole jobs with model and adapters in a remote store. */
@Timeout(120)
class RemoteArtifactsJobIT {
    private static final List<String> ADAPTERS = List.of("medical", "legal", "finance", "formal");
    private static final int RECORDS = 60;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(4);

    @TempDir
    private Path folder;

    private RemoteStore store;

    @BeforeEach
    void createStore() throws IOException {
        store = RemoteStore.over(Files.createDirectories(folder.resolve("remote")));
        store.publish("base.gguf", TinyModel.model());
        for (String adapter : ADAPTERS) {
            store.publish("adapters/" + adapter + ".gguf", TinyModel.adapters().resolve(adapter + ".gguf"));
        }
    }

    private LlamafuOptions.Builder options() {
        return Notes.options()
                .model(store.uri("base.gguf").toString())
                .adapters(store.uri("adapters").toString())
                .cacheDir(folder.resolve("cache").toString())
                .idleTimeout(Duration.ZERO);
    }

    /** Each record needs one of the adapters, by a separate route. */
    private JobClient submit(LlamafuOptions options, WatchedLeases leases, CommittedSink sink) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.setParallelism(2);
        new CompletionBuilder<>(
                        env.fromData(
                                        Types.POJO(Ticket.class),
                                        IntStream.range(0, RECORDS)
                                                .mapToObj(index -> new Ticket(
                                                        String.valueOf(index), stack(index), Notes.text(index), index))
                                                .toArray(Ticket[]::new))
                                .assignTimestampsAndWatermarks(WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                                        .withTimestampAssigner((ticket, time) -> ticket.time)),
                        leases)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(env.fromData(
                                TypeInformation.of(AdapterRoute.class),
                                ADAPTERS.stream()
                                        .map(adapter -> new AdapterRoute(adapter, adapter, -1L, null))
                                        .toArray(AdapterRoute[]::new))
                        .assignTimestampsAndWatermarks(WatermarkStrategy.<AdapterRoute>forMonotonousTimestamps()
                                .withTimestampAssigner((route, time) -> route.getValidFrom())))
                .eventTime()
                .with(options)
                .build()
                .sinkTo(sink);
        return env.executeAsync();
    }

    private static String stack(int index) {
        return ADAPTERS.get(index % ADAPTERS.size());
    }

    @Test
    void jobsAnswerFromOneEngineAndFetchEachFileOnce() throws Exception {
        WatchedLeases leases = WatchedLeases.closed();
        CommittedSink firstSink = CommittedSink.create();
        CommittedSink secondSink = CommittedSink.create();
        JobClient first = submit(options().build(), leases, firstSink);
        JobClient second = submit(options().build(), leases, secondSink);
        Await.until("engines of all subtasks", () -> leases.engines().size() == 4);
        assertThat(new HashSet<>(leases.engines()))
                .as("engines of two jobs with two subtasks each")
                .hasSize(1);
        leases.openGate();
        first.getJobExecutionResult().get();
        second.getJobExecutionResult().get();

        for (CommittedSink sink : List.of(firstSink, secondSink)) {
            assertThat(sink.committed()).hasSize(RECORDS);
            long exact = sink.committed().stream()
                    .filter(RemoteArtifactsJobIT::isExact)
                    .count();
            assertThat(exact).as("exact answers").isGreaterThanOrEqualTo(RECORDS * 95 / 100);
        }
        assertThat(store.reads("base.gguf")).isEqualTo(1);
        assertThat(ADAPTERS).allSatisfy(adapter -> assertThat(store.reads("adapters/" + adapter + ".gguf"))
                .isEqualTo(1));
        assertThat(folder.resolve("cache/sessions"))
                .as("links of jobs that ended")
                .isEmptyDirectory();
    }

    private static boolean isExact(Completion completion) {
        int index = Integer.parseInt(completion.getId());
        assertThat(completion.getStack()).isEqualTo(stack(index));
        return Notes.answer(Notes.text(index), stack(index)).equals(completion.getText());
    }

    @Test
    void malformedModelIsNamedByItsUri() throws Exception {
        store.publish("base.gguf", new byte[] {1, 2, 3});
        JobClient job = submit(options().build(), WatchedLeases.open(), CommittedSink.create());
        assertThatThrownBy(() -> job.getJobExecutionResult().get())
                .satisfies(failure -> assertThat(ExceptionUtils.findThrowable(failure, LlamafuException.class))
                        .hasValueSatisfying(cause -> {
                            assertThat(cause.code()).isEqualTo(ErrorCode.MODEL_INVALID);
                            assertThat(cause)
                                    .hasMessageContaining(store.uri("base.gguf").toString());
                        }));
    }
}
