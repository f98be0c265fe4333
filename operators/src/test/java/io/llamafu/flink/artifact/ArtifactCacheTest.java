package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import io.llamafu.testing.Await;
import org.apache.flink.util.FileUtils;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The cache over a store that counts the bytes read from it. */
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

    private ArtifactCache open(long maxBytes, Duration fetchPatience, Duration refreshInterval, CacheDisk disk) {
        return ArtifactCache.open(
                new ArtifactCache.Settings(folder, maxBytes),
                new ArtifactCache.Tuning(fetchPatience, refreshInterval, 10, disk, new SoundContents()));
    }

    private static byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        for (int index = 0; index < count; index++) {
            bytes[index] = (byte) (index * 7);
        }
        return bytes;
    }

    private Path link(ArtifactCache cache, String file) throws IOException {
        Path link = cache.linkFolder("links").resolve(file);
        cache.link(RemoteFile.at(store.uri(file)), link, () -> {});
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
                all.add(pool.submit(() -> cache.link(RemoteFile.at(store.uri("model")), link, () -> {})));
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
            cache.link(RemoteFile.at(store.uri("model")), old, () -> {});
            store.publish("model", "WEIGHTS".getBytes(UTF_8));

            assertThat(link(cache, "model")).hasContent("WEIGHTS");
            assertThat(old).hasContent("weights");
            cache.link(RemoteFile.at(store.uri("model")), old, () -> {});
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

    @Test
    void damagedContentIsFetchedAgainAndGoodBytesWin() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache before = open(NO_LIMIT)) {
            link(before, "model");
        }
        Path content = folder.resolve("content").resolve(Sha256.of("weights"));
        FileTime time = Files.getLastModifiedTime(content);
        Files.writeString(content, "weighty");
        Files.setLastModifiedTime(content, time);

        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(link(cache, "model")).hasContent("weights");
            assertThat(content).hasContent("weights");
            assertThat(link(cache, "model")).hasContent("weights");
        }
        assertThat(store.reads("model")).isEqualTo(2);
    }

    @Test
    void whoHasLinkedADamagedContentKeepsItsFile() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        store.publish("same", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT);
                ArtifactCache other = open(1000)) {
            Path mapped = link(other, "model");
            Files.writeString(cache.fileOf(Sha256.of("weights")), "weighty");
            Object inode = Files.getAttribute(mapped, "unix:ino");

            assertThat(link(cache, "same")).hasContent("weights");
            assertThat(Files.getAttribute(mapped, "unix:ino"))
                    .as("nothing is written into a file that somebody may have mapped")
                    .isEqualTo(inode);
            assertThat(mapped).hasContent("weighty");
            assertThat(link(other, "model")).as("linked again").hasContent("weights");
        }
    }

    @Test
    void sessionOutlivesTheRemovalOfItsLock() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            Path link = link(cache, "model");
            Path session = link.getParent().getParent();
            Files.delete(session.resolve("lock"));
            open(1000).close();
            assertThat(link).as("although others see no lock").hasContent("weights");

            Files.setLastModifiedTime(session, FileTime.from(Instant.now().minus(Duration.ofHours(2))));
            open(1000).close();
            assertThat(session).as("abandoned: nobody has made the lock again").doesNotExist();
        }
    }

    @Test
    void lockOfASessionIsMadeAgain() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT, Duration.ofMinutes(1), Duration.ofMillis(20), CacheDisk.LOCAL)) {
            Path lock = link(cache, "model").getParent().resolveSibling("lock");
            Files.delete(lock);
            Await.until("the lock", () -> Files.exists(lock));
            Await.until("somebody holds it", () -> {
                try (OtherProcess other = OtherProcess.locking(lock)) {
                    return other.says().equals("busy");
                }
            });
        }
        assertThat(files("sessions")).isEmpty();
    }

    @Test
    void sessionsByTwoPathsLiveSideBySide() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        Path link = Files.createSymbolicLink(temporary.resolve("link"), Files.createDirectories(folder));
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            Path ours = link(cache, "model");
            try (ArtifactCache other = ArtifactCache.open(new ArtifactCache.Settings(link, 1000))) {
                assertThat(link(other, "model")).hasContent("weights");
            }
            open(2000).close();
            try (OtherProcess process = OtherProcess.locking(ours.getParent().resolveSibling("lock"))) {
                assertThat(process.says())
                        .as("the lock is still seen by other processes")
                        .isEqualTo("busy");
            }
            assertThat(ours).hasContent("weights");
        }
    }

    @Test
    void whateverIsRemovedFromOutsideIsMadeAgain() throws Exception {
        store.publish("model", "weights".getBytes(UTF_8));
        try (ArtifactCache cache = open(NO_LIMIT)) {
            link(cache, "model");
            for (String part : List.of("content", "used", "index", "partial", "sessions")) {
                FileUtils.deleteDirectory(folder.resolve(part).toFile());
                assertThat(link(cache, "model")).as("without " + part).hasContent("weights");
            }
        }
    }

    @Test
    void fileThatCannotFitMakesNothingLeave() throws Exception {
        store.publish("idle", bytes(100));
        store.publish("used", new byte[60]);
        store.publish("large", bytes(201));
        store.publish("tight", bytes(150));
        try (ArtifactCache cache = open(200)) {
            link(cache, "used");
            Files.delete(link(cache, "idle"));
            for (int retry = 0; retry < 3; retry++) {
                assertThatThrownBy(() -> link(cache, "large"))
                        .hasMessageContainingAll("201 bytes", "cache.max-size is 200; raise it");
                assertThatThrownBy(() -> link(cache, "tight")).hasMessageContaining("60 of it are in use");
            }
            link(cache, "idle");
        }
        assertThat(store.reads("idle")).isEqualTo(1);
        assertThat(store.reads("large") + store.reads("tight")).isZero();
    }

    @Test
    void fullDiskMakesIdleContentLeave() throws Exception {
        store.publish("idle", bytes(100));
        store.publish("used", new byte[60]);
        store.publish("new", bytes(90));
        store.publish("large", bytes(120));
        AtomicLong written = new AtomicLong();
        try (ArtifactCache cache = open(NO_LIMIT, Duration.ofMinutes(1), Duration.ofMinutes(1), (out, bytes) -> {
            if (written.addAndGet(bytes.remaining()) > 200 && cacheBytes() + bytes.remaining() > 200) {
                throw new IOException("No space left on device");
            }
            CacheDisk.LOCAL.write(out, bytes);
        })) {
            link(cache, "used");
            Files.delete(link(cache, "idle"));
            assertThat(link(cache, "new")).hasBinaryContent(bytes(90));
            assertThatThrownBy(() -> link(cache, "large"))
                    .hasMessageContainingAll("120 bytes", "do not fit on the disk", folder.toString())
                    .isInstanceOfSatisfying(LlamafuException.class, e -> assertThat(e.code())
                            .isEqualTo(ErrorCode.ARTIFACT_UNAVAILABLE));
            assertThat(files("partial")).as("does not keep the disk full").isEmpty();
        }
    }

    private long cacheBytes() throws IOException {
        long bytes = 0;
        for (String part : List.of("content", "partial")) {
            for (Path file : files(part)) {
                bytes += Files.size(file);
            }
        }
        return bytes;
    }

    @Test
    void interruptedFetchGoesOnWhereItWas() throws Exception {
        byte[] content = bytes(100);
        store.publish("model", content);
        store.onRead(() -> {});
        store.breakAfter(60);
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThatThrownBy(() -> link(cache, "model")).hasMessageContaining("the connection broke");
            assertThat(store.servedBytes()).isEqualTo(60);
        }
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(link(cache, "model")).hasBinaryContent(content);
        }
        assertThat(store.servedBytes()).as("each byte once").isEqualTo(100);
        assertThat(files("partial")).isEmpty();
    }

    @Test
    void killedFetchGoesOnFromItsLastNote() throws Exception {
        store.publish("model", bytes(100));
        store.onRead(() -> {});
        store.breakAfter(60);
        try (ArtifactCache cache = open(NO_LIMIT, Duration.ofMinutes(1), Duration.ofMinutes(1), CacheDisk.LOCAL)) {
            assertThatThrownBy(() -> link(cache, "model")).isInstanceOf(IOException.class);
        }
        // As after a crash of the machine: there are more bytes than are known to be good.
        Path partial = files("partial").stream()
                .filter(file -> !file.toString().endsWith(".properties"))
                .findFirst()
                .orElseThrow();
        Files.write(partial, new byte[30], StandardOpenOption.APPEND);
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThat(link(cache, "model")).hasBinaryContent(bytes(100));
        }
        assertThat(store.servedBytes()).isEqualTo(100);
    }

    @Test
    void partOfAnotherVersionIsNotGoneOnWith() throws Exception {
        store.publish("model", new byte[100]);
        store.onRead(() -> {});
        store.breakAfter(60);
        try (ArtifactCache cache = open(NO_LIMIT)) {
            assertThatThrownBy(() -> link(cache, "model")).isInstanceOf(IOException.class);
            store.publish("model", bytes(100));
            store.breakAfter(Long.MAX_VALUE);
            assertThat(link(cache, "model")).hasBinaryContent(bytes(100));
        }
        assertThat(store.servedBytes()).isEqualTo(160);
    }

    /** It takes longer than the patience; both are slowed down until no pause between two bytes does. */
    @Test
    void fetchOfAnotherIsAwaitedAsLongAsBytesCome() throws Exception {
        int pause = 5;
        while (readsOfTwoAtOnce("model-" + pause, pause) > 1) {
            pause *= 2;
            assertThat(pause).as("milliseconds before each byte").isLessThan(2000);
        }
    }

    private long readsOfTwoAtOnce(String model, int pause) throws Exception {
        byte[] content = bytes(100 + pause);
        store.publish(model, content);
        store.onRead(() -> sleep(pause));
        Duration patience = Duration.ofMillis(25L * pause);
        ExecutorService pool = Executors.newSingleThreadExecutor();
        try (ArtifactCache one = open(NO_LIMIT, patience, patience, CacheDisk.LOCAL);
                ArtifactCache other = open(1000 + pause, patience, patience, CacheDisk.LOCAL)) {
            Future<Path> first = pool.submit(() -> link(one, model));
            Await.until("the fetch", () -> store.reads(model) > 0);
            assertThat(link(other, model)).hasBinaryContent(content);
            assertThat(first.get()).hasBinaryContent(content);
        } finally {
            pool.shutdownNow();
        }
        return store.reads(model);
    }

    @Test
    void fetchThatHangsIsDoneBesideIt() throws Exception {
        store.publish("model", bytes(100));
        Duration patience = Duration.ofMillis(100);
        store.closeGate();
        ExecutorService pool = Executors.newSingleThreadExecutor();
        try (ArtifactCache one = open(NO_LIMIT, patience, patience, CacheDisk.LOCAL);
                ArtifactCache other = open(1000, patience, patience, CacheDisk.LOCAL)) {
            Future<Path> first = pool.submit(() -> link(one, "model"));
            Await.until("the fetch", () -> store.reads("model") == 1);
            store.closeGate(path -> false);
            assertThat(link(other, "model")).hasBinaryContent(bytes(100));
            first.cancel(true);
        } finally {
            pool.shutdownNow();
        }
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private List<Path> files(String part) throws IOException {
        try (Stream<Path> files = Files.walk(folder.resolve(part))) {
            return files.filter(Files::isRegularFile).toList();
        }
    }
}
