package io.llamafu.flink.artifact;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

import static org.assertj.core.api.Assertions.assertThat;

class CacheSessionTest {

    /** Whoever deletes the folder of a session lets its inodes be used again before, or without, the end of the session. */
    @Test
    void opensWithTheInodeOfASessionWhoseFolderWasDeleted(@TempDir Path folder) throws Exception {
        Path lock = Files.createFile(OwnFiles.folder(folder.resolve("session")).resolve("lock"), OwnFiles.FILE);
        String name = "io.llamafu.lock."
                + Files.readAttributes(lock, BasicFileAttributes.class).fileKey();
        System.setProperty(name, folder.resolve("deleted/lock") + "#1");
        try {
            CacheSession session = CacheSession.open(lock.getParent());

            assertThat(session.isMarked()).isTrue();
            assertThat(CacheLock.tryAcquireExisting(lock)).as("it is held").isEmpty();
            session.release();
            assertThat(System.getProperty(name)).isNull();
        } finally {
            System.clearProperty(name);
        }
    }
}
