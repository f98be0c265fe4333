package io.llamafu.flink.artifact;

import io.llamafu.adapter.Sha256;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Eviction of contents. */
@Timeout(120)
class CacheRoomTest {
    @TempDir
    private Path folder;

    private Path sessions;
    private CacheContents contents;
    private CacheSession session;
    private CacheRoom room;

    @BeforeEach
    void open() throws IOException {
        sessions = Files.createDirectories(folder.resolve("sessions"));
        Files.createDirectories(folder.resolve("content"));
        contents = new CacheContents(folder.resolve("content"), folder.resolve("used"), new SoundContents());
        session = CacheSession.open(sessions.resolve("ours"));
        room = new CacheRoom(sessions, folder.resolve("partial"), contents, session, 0);
    }

    @AfterEach
    void close() throws IOException {
        session.release();
    }

    private String add(String content) throws IOException {
        Path file = Files.writeString(session.temporary(), content);
        String digest = Sha256.of(content);
        contents.add(file, digest, () -> {});
        return digest;
    }

    private long count() throws IOException {
        try (Stream<Path> files = Files.list(folder.resolve("content"))) {
            return files.count();
        }
    }

    @Test
    void evictionLooksAtEachContentAFewTimesHoweverManyLeave() throws Exception {
        int all = 400;
        for (int content = 0; content < all; content++) {
            add("%03d".formatted(content));
        }
        long before = contents.looks();
        assertThat(room.free(900, "none")).isTrue();

        assertThat(count()).isEqualTo(100);
        assertThat(contents.looks() - before)
                .as("once to list it, once for its time, twice to evict it")
                .isLessThanOrEqualTo(4L * all);
        assertThat(room.free(303, "none")).as("more than there is").isFalse();
        assertThat(count()).as("nothing leaves in vain").isEqualTo(100);
    }

    @Test
    void whatWasLinkedSinceTheScanStays() throws Exception {
        String digest = add("weights");
        assertThat(contents.list()).allMatch(CacheContents.Content::isIdle);
        Path link = session.linkFolder("links").resolve("link");
        assertThat(contents.link(digest, 7, link, () -> {})).isTrue();

        assertThat(contents.evict(digest, session::temporary)).isZero();
        assertThat(contents.fileOf(digest)).hasContent("weights");
        Files.delete(link);
        assertThat(contents.evict(digest, session::temporary)).isEqualTo(7);
        assertThat(contents.evict(digest, session::temporary)).as("gone").isZero();
    }

    @Test
    void whatIsLinkedWhileItIsEvictedIsPutBack() throws Exception {
        String digest = add("weights");
        Path link = session.linkFolder("links").resolve("link");

        assertThat(contents.evict(digest, () -> {
                    assertThat(contents.link(digest, 7, link, () -> {})).isTrue();
                    return session.temporary();
                }))
                .isZero();
        assertThat(contents.fileOf(digest)).hasContent("weights").hasSameBinaryContentAs(link);
        assertThat(Files.isSameFile(contents.fileOf(digest), link)).isTrue();
    }

    /** A link keeps the content, whenever the eviction happens. */
    @Test
    void linkingAndEvictingAtOnceLosesNothing() throws Exception {
        String digest = Sha256.of("weights");
        AtomicBoolean stopped = new AtomicBoolean();
        ExecutorService threads = Executors.newSingleThreadExecutor();
        try {
            Future<Integer> evicted = threads.submit(() -> {
                int count = 0;
                while (!stopped.get()) {
                    count += contents.evict(digest, session::temporary) > 0 ? 1 : 0;
                }
                return count;
            });
            Path link = session.linkFolder("links").resolve("link");
            for (int round = 0; round < 500; round++) {
                add("weights");
                if (contents.link(digest, 7, link, () -> {})) {
                    assertThat(link).hasContent("weights");
                    Files.delete(link);
                }
            }
            stopped.set(true);
            assertThat(evicted.get()).isPositive();
        } finally {
            stopped.set(true);
            threads.shutdownNow();
        }
    }

    @Test
    void interruptedFetchesLeaveFirstAndThoseUnderWayStay() throws Exception {
        String digest = add("weights");
        Path partial = Files.createDirectories(folder.resolve("partial"));
        Path interrupted = Files.writeString(partial.resolve("one"), "1234567");
        Path underWay = Files.writeString(partial.resolve("two"), "1234567");
        Files.writeString(partial.resolve("two.properties"), "");
        Files.createFile(session.temporary("two"));

        assertThat(room.free(7, "three")).isTrue();
        assertThat(interrupted).doesNotExist();
        assertThat(underWay).exists();
        assertThat(partial.resolve("two.properties")).exists();
        assertThat(contents.fileOf(digest)).exists();
    }
}
