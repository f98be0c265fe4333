package io.llamafu.flink.artifact;

import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.util.concurrent.atomic.AtomicBoolean;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class FolderListingTest {
    @TempDir
    java.nio.file.Path folder;

    private final FileSystem files = new LocalFileSystem();

    @Test
    void filesMayBeRenamedMeanwhile() throws Exception {
        for (int i = 0; i < 50; i++) {
            Files.createFile(folder.resolve("file-" + i));
        }
        AtomicBoolean ended = new AtomicBoolean();
        Thread writer = new Thread(() -> renameUntil(ended), "writer");
        writer.start();
        try {
            for (int i = 0; i < 200; i++) {
                assertThat(FolderListing.of(files, new Path(folder.toUri()))).hasSizeBetween(49, 51);
            }
        } finally {
            ended.set(true);
            writer.join();
        }
    }

    private void renameUntil(AtomicBoolean ended) {
        try {
            while (!ended.get()) {
                Files.move(folder.resolve("file-7"), folder.resolve("file-7.done"));
                Thread.sleep(1);
                Files.move(folder.resolve("file-7.done"), folder.resolve("file-7"));
                Thread.sleep(1);
            }
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void aMissingFolderIsSaidToBeMissing() {
        Path missing = new Path(folder.resolve("missing").toUri());
        assertThatThrownBy(() -> FolderListing.of(files, missing))
                .isInstanceOf(FileNotFoundException.class)
                .hasMessageContaining("missing");
    }
}
