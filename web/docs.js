// openapi.json as a page.
const api = await (await fetch('/openapi.json')).json();
const at = (ref) => ref.slice(2).split('/').reduce((o, k) => o[k], api);
const open = (o) => (o && o.$ref ? at(o.$ref) : o);
const el = (tag, text, ...children) => {
	const e = document.createElement(tag);
	if (text) e.textContent = text;
	e.append(...children);
	return e;
};
const shape = (schema, depth = 0) => {
	const s = open(schema) || {};
	if (depth > 3) return '…';
	if (s.anyOf) return s.anyOf.map((a) => shape(a, depth)).join(' | ');
	if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(' | ');
	if (s.type === 'array') return `[${shape(s.items, depth)}, …]`;
	if (s.properties) {
		const pad = '  '.repeat(depth + 1);
		const members = Object.entries(s.properties).map(([name, p]) =>
			`${pad}"${name}"${(s.required || []).includes(name) ? '' : '?'}: ${shape(p, depth + 1)}`);
		if (s.additionalProperties) members.push(`${pad}…`);
		return `{\n${members.join(',\n')}\n${'  '.repeat(depth)}}`;
	}
	return [].concat(s.type || 'anything').join(' | ');
};
const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
const samples = (media) => ('example' in media ? [['', media.example]]
	: Object.entries(media.examples || {}).map(([name, e]) => [name, e.value]));
const content = (c) => Object.entries(c || {}).flatMap(([type, media]) => [
	el('pre', `${type}${type.endsWith('json') && media.schema ? '\n' + shape(media.schema) : ''}`),
	...samples(media).map(([name, value]) => {
		const sample = el('pre', text(value));
		sample.className = 'sample';
		sample.title = `An example${name ? ': ' + name : ''}`;
		return sample;
	})]);
// A request as one pastes it: with the examples that its parameters and its body have.
const asked = (path, method, op) => {
	const given = (op.parameters || []).map(open).filter((p) => p.required);
	const query = given.filter((p) => p.in === 'query').flatMap((p) => [].concat(p.example).map((v) => `${p.name}=${v}`));
	const url = path.replace(/{(\w+)}/g, (_, name) => given.find((p) => p.name === name).example) + (query.length ? '?' + query.join('&') : '');
	const [type, media] = Object.entries(op.requestBody?.content || {})[0] || [];
	const value = media && samples(media)[0][1];
	return { method: method.toUpperCase(), url, type: type?.replace('*/*', 'text/plain'), value, isJson: Boolean(type?.endsWith('json')) };
};
const line = (path, method, op) => {
	const { method: verb, url, type, value, isJson } = asked(path, method, op);
	const body = text(typeof value === 'string' && isJson ? JSON.stringify(value) : value);
	return ['curl', verb === 'GET' ? '' : `-X ${verb}`, Object.keys(op.security[0]).length ? '-u alice@example.net:PASSWORD' : '',
		type ? `-H 'Content-Type: ${type}' -d '${body.replaceAll("'", "'\\''")}'` : '', `'${location.origin}${url}'`].filter(Boolean).join(' ');
};
// The same with restsip.js.
const script = (path, method, op) => {
	const { method: verb, url, type, value, isJson } = asked(path, method, op);
	const more = type && (isJson ? typeof value === 'string' : type !== 'text/plain') ? `, { headers: { 'Content-Type': '${type}' } }` : '';
	const body = !type ? '' : `, ${isJson && typeof value !== 'string' ? JSON.stringify(value) : JSON.stringify(isJson ? JSON.stringify(value) : String(value))}`;
	return `await api.request('${verb}', '${url}'${body}${more})`;
};
const operation = (path, method, op) => {
	const head = el('summary', '', el('span', method.toUpperCase()), ` ${path} `, el('span', op.summary));
	head.firstChild.className = 'method';
	head.lastChild.className = 'quiet';
	const body = [];
	if (op.description) body.push(el('p', op.description));
	const who = op.security.length > 1 && !Object.keys(op.security[0]).length ? 'anyone; more with credentials'
		: Object.keys(op.security[0]).length ? op.security.map((s) => Object.keys(s)[0]).join(' or ') : 'anyone';
	body.push(el('p', `Credentials: ${who}.`));
	for (const p of (op.parameters || []).map(open).filter((p) => p.in !== 'path'))
		body.push(el('p', `${p.in} ${p.name}${p.description ? ': ' + p.description : ''}`));
	body.push(el('pre', line(path, method, op)), el('pre', script(path, method, op)));
	if (op.requestBody) body.push(el('b', 'Body'), ...content(op.requestBody.content));
	const rows = Object.entries(op.responses).map(([code, r]) => el('tr', '', el('th', code),
		el('td', '', open(r).description, ...(code < 300 ? content(open(r).content) : []))));
	body.push(el('b', 'Answers'), el('table', '', ...rows));
	return el('details', '', head, ...body);
};
for (const part of api.info.description.split(/^## /m).filter(Boolean)) {
	const [title, ...lines] = part.split('\n');
	document.querySelector('main').append(el('details', '', el('summary', title), ...lines.filter(Boolean).map((line) => el('p', line))));
}
for (const tag of api.tags) {
	const ops = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods)
		.filter(([, op]) => op.tags.includes(tag.name)).map(([method, op]) => operation(path, method, op)));
	document.querySelector('main').append(el('h2', tag.description), ...ops);
}
