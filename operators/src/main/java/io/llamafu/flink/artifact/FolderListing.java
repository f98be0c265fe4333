package io.llamafu.flink.artifact;

import org.apache.flink.annotation.Internal;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

import java.io.FileNotFoundException;
import java.io.IOException;

/** Lists a folder in which others rename and delete files meanwhile. */
@Internal
public final class FolderListing {
    private static final int ATTEMPTS = 100;

    private FolderListing() {}

    /**
     * What a folder holds, without the contents of its subfolders.
     *
     * <p>Flink's local file system reads the names first and asks for each file afterwards; one that is gone by then fails
     * the listing with the same exception as a missing folder. A writer that publishes by renaming is no reason to fail.
     *
     * @throws FileNotFoundException if there is no such folder
     * @throws IOException if it cannot be listed
     */
    public static FileStatus[] of(FileSystem fileSystem, Path folder) throws IOException {
        for (int attempt = 1; ; attempt++) {
            try {
                FileStatus[] listed = fileSystem.listStatus(folder);
                if (listed == null) {
                    throw new FileNotFoundException(folder + " does not exist");
                }
                return listed;
            } catch (FileNotFoundException e) {
                if (attempt == ATTEMPTS || !fileSystem.exists(folder)) {
                    throw e;
                }
            }
        }
    }
}
