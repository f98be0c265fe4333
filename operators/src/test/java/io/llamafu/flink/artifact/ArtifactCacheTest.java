package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The cache over a store that counts what is read from it. */
@Timeout(120)
class ArtifactCacheTest {
    private static final long NO_LIMIT = 0;

    @TempDir
    private Path temporary;

    private Path folder;
    private Path root;
    private RemoteStore store;

    @BeforeEach
    void createStore() throws IOException {
        folder = temporary.resolve("cache");
        root = Files.createDirectories(temporary.resolve("remote"));
        store = RemoteStore.over(root);
    }

    private ArtifactCache open(long maxBytes) {
        return ArtifactCache.open(new ArtifactCache.Settings(folder, maxBytes));
    }

    private Path link(ArtifactCache cache, String file) throws IOException {
        Path link = cache.linkFolder("links").resolve(file);
        cache.link(store.uri(file), link);
        return link;
    }

    @Test
    void fileIsFetchedOnceHoweverManyAsk() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        int threads = 8;
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try (ArtifactCache cache = open(NO_LIMIT)) {
            store.closeGate();
            Path links = cache.linkFolder("links");
            List<Future<ArtifactCache.Linked>> all = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                Path link = links.resolve("link-" + thread);
                all.add(pool.submit(() -> cache.link(store.uri("model"), link)));
            }
            store.openGate();
            for (int thread = 0; thread < threads; thread++) {
                String digest = all.get(thread).get().digest();
                assertThat(digest).isEqualTo(Sha256.of("weights"));
                assertThat(links.resolve("link-" + thread)).hasContent("weights");
                assertThat(cache.fileOf(digest)).hasContent("weights");
            }
        } finally {
            pool.shutdownNow();
        }
        assertThat(store.reads("model")).isEqualTo(1);
    }

    @Test
    void processesShareWhatOneFetches() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (OtherProcess one = OtherProcess.linking(store, root, folder, "model", false);
                OtherProcess other = OtherProcess.linking(store, root, folder, "model", false)) {
            List<String> said = new ArrayList<>(List.of(one.says(), other.says()));
            said.add(said.get(0).equals("reading") ? one.says() : other.says());
            assertThat(said).containsExactlyInAnyOrder("reading", "reads 1", "reads 0");
        }
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(link(cache, "model")).hasContent("weights");
        }
        assertThat(store.reads("model")).isZero();
    }

    @Test
    void crashInTheMiddleLeavesNothingBehind() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (OtherProcess crashing = OtherProcess.linking(store, root, folder, "model", true)) {
            assertThat(crashing.says()).isEqualTo("reading");
            assertThat(files("sessions"))
                    .as("the session of the other, with a part of the file")
                    .hasSize(2);
            crashing.kill();
        }
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(files("sessions"))
                    .as("the lock of our session")
                    .extracting(path -> path.getFileName().toString())
                    .containsExactly("lock");
            assertThat(link(cache, "model")).hasContent("weights");
        }
        assertThat(files("sessions")).isEmpty();
        assertThat(files("content")).hasSize(1);
    }

    @Test
    void sessionsOfTheLivingAreLeftAlone() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (OtherProcess other = OtherProcess.linking(store, root, folder, "model", false)) {
            assertThat(other.says()).isEqualTo("reading");
            assertThat(other.says()).isEqualTo("reads 1");
            try (ArtifactCache ours = open(NO_LIMIT);
                    ArtifactCache more = open(1000)) {
                assertThat(link(ours, "model")).hasContent("weights");
                assertThat(link(more, "model")).hasContent("weights");
                assertThat(files("sessions"))
                        .as("locks and links of three sessions")
                        .hasSize(6);
            }
        }
    }

    @Test
    void contentIsReusedAfterTheLastSession() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            link(cache, "model");
        }
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(link(cache, "model")).hasContent("weights");
        }
        assertThat(store.reads("model")).isEqualTo(1);
    }

    @Test
    void filePublishedAgainIsAnotherContent() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            Path old = cache.linkFolder("links").resolve("old");
            cache.link(store.uri("model"), old);
            store.publish("model", "WEIGHTS".getBytes(UTF_8));

            assertThat(link(cache, "model")).hasContent("WEIGHTS");
            assertThat(old).hasContent("weights");
            cache.link(store.uri("model"), old);
            assertThat(old).as("replaced").hasContent("WEIGHTS");
        }
    }

    @Test
    void equalContentIsKeptOnce() throws Exception {
        store.publish("one", "weights".getBytes(UTF_8));
        store.publish("two", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(Files.isSameFile(link(cache, "one"), link(cache, "two"))).isTrue();
        }
        assertThat(files("content")).hasSize(1);
    }

    @Test
    void mixOfTwoVersionsIsNeverTaken() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        store.onNextOpen(() -> publish("model", "changed"));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(link(cache, "model")).hasContent("changed");
        }
        assertThat(store.reads("model")).isEqualTo(2);
        assertThat(files("content")).hasSize(1);
    }

    @Test
    void fileThatNeverStandsStillIsAnError() throws Exception {
        publishAtEachRead("weights");
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThatThrownBy(() -> link(cache, "model"))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("changes while it is read");
        }
        assertThat(files("sessions")).isEmpty();
    }

    private void publishAtEachRead(String content) {
        publish("model", content);
        store.onNextOpen(() -> publishAtEachRead(content + "."));
    }

    private void publish(String file, String content) {
        try {
            store.publish(file, content.getBytes(UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void contentOfAnotherSizeIsFetchedAgain() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            Path link = link(cache, "model");
            Files.delete(link);
            Files.writeString(cache.fileOf(Sha256.of("weights")), "wei");

            assertThat(link(cache, "model")).hasContent("weights");
        }
    }

    @Test
    void longestUnusedLeavesFirstAndWhatIsInUseStays() throws Exception {
        for (String file : List.of("a", "b", "c", "d")) {
            store.publish(file, file.repeat(100).getBytes(UTF_8));
        }
        try (ArtifactCache cache = open(350)) {
            Path inUse = link(cache, "a");
            Files.delete(link(cache, "b"));
            Files.delete(link(cache, "c"));
            Files.delete(link(cache, "b"));
            link(cache, "d");

            assertThat(inUse).hasContent("a".repeat(100));
            assertThat(cache.fileOf(Sha256.of("a".repeat(100)))).exists();
            assertThat(cache.fileOf(Sha256.of("b".repeat(100)))).exists();
            assertThat(cache.fileOf(Sha256.of("c".repeat(100)))).doesNotExist();
            assertThat(files("used")).hasSize(3);
        }
    }

    @Test
    void noRoomIsAnErrorWithTheFigures() throws Exception {
        store.publish("a", "a".repeat(100).getBytes(UTF_8));
        store.publish("b", "b".repeat(100).getBytes(UTF_8));
        try (ArtifactCache cache = open(150)) {
            link(cache, "a");
            assertThatThrownBy(() -> link(cache, "b"))
                    .hasMessageContainingAll(
                            store.uri("b").toString(), "100 bytes", "cache.max-size is 150", "100 of it are in use")
                    .isInstanceOfSatisfying(LlamafuException.class, e -> assertThat(e.code())
                            .isEqualTo(ErrorCode.ARTIFACT_UNAVAILABLE));
        }
        assertThat(store.reads("b")).isZero();
    }

    @Test
    void whatIsMissingOrUnreachableSaysSo() throws Exception {
        store.publish("folder/model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThatThrownBy(() -> link(cache, "missing")).isInstanceOf(FileNotFoundException.class);
            assertThatThrownBy(() -> link(cache, "folder"))
                    .isInstanceOf(FileNotFoundException.class)
                    .hasMessageContaining("is a folder");
            store.setFailing(true);
            assertThatThrownBy(() -> link(cache, "folder/model")).hasMessageContaining("the store is down");
        }
        assertThat(files("sessions")).isEmpty();
    }

    @Test
    void interruptEndsAFetchAndTheSessionStillCloses() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            store.onNextOpen(() -> Thread.currentThread().interrupt());
            assertThatThrownBy(() -> link(cache, "model")).isInstanceOf(IOException.class);
        }
        assertThat(Thread.interrupted()).as("still interrupted").isTrue();
        assertThat(files("sessions")).isEmpty();
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(link(cache, "model")).hasContent("weights");
        }
    }

    @Test
    void folderThatEverybodyMayWriteToIsRefused() throws Exception {
        Files.createDirectories(folder);
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertThatThrownBy(() -> open(NO_LIMIT))
                .hasMessageContainingAll("cache.dir is '" + folder, "everybody may write")
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION));
    }

    private List<Path> files(String part) throws IOException {
        try (Stream<Path> files = Files.walk(folder.resolve(part))) {
            return files.filter(Files::isRegularFile).toList();
        }
    }
}
