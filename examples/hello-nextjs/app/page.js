import path from "path";

// rendered for each request, so that it shows the release that answers
export const dynamic = "force-dynamic";

export default function Page() {
  return (
    <main>
      <h1>Hello from Next.js</h1>
      <p>
        Release <b>{path.basename(process.cwd())}</b>, answered at {new Date().toISOString()}.
      </p>
    </main>
  );
}
