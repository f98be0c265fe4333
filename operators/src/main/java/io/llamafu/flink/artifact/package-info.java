/** Models and adapters of any Flink file system become local files, fetched once into a cache that is shared. */
package io.llamafu.flink.artifact;
