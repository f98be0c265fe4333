/** What engines have in common. Internal: not for users of the engines. */
package io.llamafu.engine.support;
