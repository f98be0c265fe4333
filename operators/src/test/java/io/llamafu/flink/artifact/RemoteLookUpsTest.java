package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** How often a remote file system is asked for names. */
class RemoteLookUpsTest {
    private static final Duration INTERVAL = Duration.ofSeconds(10);

    @TempDir
    private Path folder;

    private RemoteStore store;
    private long now;
    private RemoteLookUps names;

    @BeforeEach
    void createStore() throws IOException {
        store = RemoteStore.over(Files.createDirectories(folder.resolve("remote")));
        store.publish("adapters/medical.gguf", new byte[1]);
        store.publish("tone.gguf", new byte[1]);
        names = new RemoteLookUps(
                new RemoteFiles(
                        Optional.of(store.uri("adapters")), new TreeMap<>(Map.of("tone", store.uri("tone.gguf")))),
                INTERVAL,
                () -> now);
    }

    private void pass(Duration time) {
        now += time.toNanos();
    }

    @Test
    void answerIsBelievedForTheInterval() throws Exception {
        for (int change = 0; change < 1000; change++) {
            assertThat(names.test("medical")).isTrue();
            assertThat(names.test("tone")).isTrue();
            assertThat(names.test("unknown")).isFalse();
        }
        assertThat(store.statusCalls()).isEqualTo(3);

        store.publish("adapters/unknown.gguf", new byte[1]);
        store.remove("adapters/medical.gguf");
        pass(INTERVAL);
        assertThat(names.test("unknown")).isTrue();
        assertThat(names.test("medical")).isFalse();
        assertThat(store.statusCalls()).isEqualTo(5);
    }

    @Test
    void adapterPublishedAMomentAgoIsFoundAlthoughOthersWereAskedFor() throws Exception {
        assertThat(names.test("medical")).isTrue();
        store.publish("adapters/new.gguf", new byte[1]);

        assertThat(names.test("new")).isTrue();
        assertThat(store.listingThreads()).isEmpty();
    }

    @Test
    void floodOfNamesCostsABoundedNumberOfCalls() {
        for (int interval = 0; interval < 3; interval++) {
            long statusCalls = store.statusCalls();
            for (int name = 0; name < 10_000; name++) {
                assertThat(names.test("name-" + name)).isFalse();
            }
            assertThat(names.test("medical")).as("from the listing").isTrue();
            assertThat(names.test("tone")).isTrue();
            assertThat(store.listingThreads()).hasSize(interval + 1);
            assertThat(store.statusCalls() - statusCalls)
                    .as("of single names, and of the file and the card of tone")
                    .isEqualTo(RemoteLookUps.MOST_SINGLE_CALLS + 2);
            pass(INTERVAL);
        }
    }

    @Test
    void outageIsFeltOncePerInterval() {
        store.setFailing(true);
        for (int name = 0; name < 100; name++) {
            String asked = "name-" + name;
            assertThatThrownBy(() -> names.test(asked))
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ARTIFACT_UNAVAILABLE))
                    .hasMessageContaining("the store is down");
        }
        assertThat(store.statusCalls()).isEqualTo(1);

        store.setFailing(false);
        pass(INTERVAL);
        assertThat(names.test("medical")).isTrue();
    }
}
